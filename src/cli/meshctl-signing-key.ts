import { writeFileSync } from 'node:fs';
import { Command } from 'commander';
import {
  generateSigningKey,
  publicKeyPem,
  signingKeyOf,
  signingKeyReplySchema,
  signStatement,
  type SigningKeyReply,
} from '../coordinator/api.ts';
import { messageOf } from '../errors.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { readSigningKey, readSigningPublicKey } from './signing-key-file.ts';
import { jsonBody } from './local-api.ts';

export function signingKeyCommand(context: MeshctlContext): Command {
  return new Command('signing-key')
    .description("the key that signs what nodes are told; on the coordinator, or in the operator's keeping")
    .addCommand(showCommand(context))
    .addCommand(createCommand(context))
    .addCommand(rotateCommand(context));
}

function showCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('show')
    .description('the key that nodes trust, and where it is')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const reply = await api().get('/v1/signing-key', signingKeyReplySchema);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderKey(reply));
    });
}

function createCommand({ terminal }: MeshctlContext): Command {
  return new Command('create')
    .description('make a key on this machine: the private part in FILE, the public part in FILE.pub')
    .requiredOption('--out <file>', 'where to write it; nothing is written over')
    .option('--json', 'as JSON')
    .action(({ out, json }: { readonly out: string; readonly json?: true }) => {
      const pem = generateSigningKey();
      const { publicKey } = signingKeyOf(pem);
      writeNew(out, pem, 0o600);
      writeNew(`${out}.pub`, publicKeyPem(publicKey), 0o644);
      terminal.out(
        json ? `${JSON.stringify({ key: publicKey, file: out, publicFile: `${out}.pub` })}\n` : `${publicKey}\n`,
      );
    });
}

interface RotateFlags {
  readonly key?: string;
  readonly to?: string;
  readonly json?: true;
}

function rotateCommand({ terminal, clock, api }: MeshctlContext): Command {
  return new Command('rotate')
    .description('a new key takes the place of the present one, which introduces it to every node')
    .option('--to <file>', "public part of a key in the operator's keeping; without it the coordinator makes one")
    .option('--key <file>', 'private part of the present key, when that is not on the coordinator')
    .option('--json', 'as JSON')
    .action(async (flags: RotateFlags) => {
      const to = flags.to === undefined ? undefined : readSigningPublicKey('--to', flags.to);
      if (flags.key !== undefined && to === undefined) {
        throw new CliError(
          'bad-input',
          '--key needs --to: a key that is not on the coordinator introduces one that is not either',
        );
      }
      const introduce = flags.key === undefined ? undefined : readSigningKey('--key', flags.key);
      const present = await api().get('/v1/signing-key', signingKeyReplySchema);
      const body =
        introduce === undefined || to === undefined
          ? { ...(to !== undefined && { key: to }) }
          : {
              introduction: signStatement(
                {
                  kind: 'next-key',
                  mesh: present.mesh,
                  replaces: introduce.publicKey,
                  key: to,
                  issuedAtMs: clock.nowMs(),
                },
                introduce,
              ),
            };
      const request = jsonBody(body);
      const reply = await api().send('POST', '/v1/signing-key', signingKeyReplySchema, request);
      terminal.out(flags.json ? `${JSON.stringify(reply)}\n` : renderKey(reply));
    });
}

function renderKey({ mesh, key, offline, unsigned, signingProblem }: SigningKeyReply): string {
  const where = offline ? "in the operator's keeping" : 'on the coordinator';
  const next = signingProblem === null ? 'meshctl sign --key FILE' : `the coordinator tries again: ${signingProblem}`;
  const waiting = unsigned === 0 ? [] : [`${unsigned} states wait for its signature: ${next}`];
  return [key, `signs for mesh ${mesh}; its private part is ${where}`, ...waiting].map((line) => `${line}\n`).join('');
}

function writeNew(path: string, text: string, mode: number): void {
  try {
    writeFileSync(path, text, { mode, flag: 'wx' });
  } catch (cause) {
    throw new CliError('bad-input', `--out ${path}: ${messageOf(cause)}`, { cause });
  }
}

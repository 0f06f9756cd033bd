import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { Command } from 'commander';
import { applyReplySchema, SPEC_CONTENT_TYPE, type ApplyReply, type NodeChange } from '../coordinator/api.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { printable, type Style } from './style.ts';

interface ApplyFlags {
  readonly file: string;
  readonly dryRun?: true;
  readonly json?: true;
}

export function applyCommand({ terminal, stdin, api }: MeshctlContext): Command {
  return new Command('apply')
    .description('put a mesh spec into force; each node that it changes is told at once')
    .requiredOption('-f, --file <file>', 'the mesh spec in YAML or JSON; - reads it from standard input')
    .option('--dry-run', 'check it, and show what it would change, without changing anything')
    .option('--json', 'as JSON')
    .action(async ({ file, dryRun, json }: ApplyFlags) => {
      const body = { contentType: SPEC_CONTENT_TYPE, text: await readSpec(file, stdin) };
      const path = dryRun ? '/v1/spec?dryRun=true' : '/v1/spec';
      const reply = await api().send('PUT', path, applyReplySchema, body);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : renderApply(reply, terminal.style));
    });
}

async function readSpec(file: string, stdin: Readable): Promise<string> {
  if (file === '-') return await textOf(stdin);
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const reason = systemCodeOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new CliError('bad-input', `--file ${file}: ${reason}`, { cause });
  }
}

function renderApply({ revision, dryRun, changed }: ApplyReply, style: Style): string {
  if (changed.length === 0) return `nothing ${dryRun ? 'would change' : 'changed'}; revision ${revision} is in force\n`;
  const count = changed.length === 1 ? '1 node' : `${changed.length} nodes`;
  const head = dryRun
    ? `would change ${count}; revision ${revision} stays in force\n`
    : `revision ${revision} is in force and changes ${count}\n`;
  return head + changed.map((change) => renderChange(change, style)).join('');
}

function renderChange({ node, added, changed, removed }: NodeChange, style: Style): string {
  const lines = [
    ...added.map((name) => style.good(`    + ${printable(name)}`)),
    ...changed.map((name) => style.warn(`    ~ ${printable(name)}`)),
    ...removed.map((name) => style.bad(`    - ${printable(name)}`)),
  ];
  return [`  ${printable(node)}`, ...lines].map((line) => `${line}\n`).join('');
}

import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { Command } from 'commander';
import { applyReplySchema, SPEC_CONTENT_TYPE, type ApplyReply, type NodeChange } from '../coordinator/api.ts';
import { messageOf, systemCodeOf } from '../errors.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { changeLines, printable, type Style } from './style.ts';
import { unsignedLine } from './unsigned-line.ts';

interface ApplyFlags {
  readonly file: string;
  readonly dryRun?: true;
  readonly allowMassRemoval?: true;
  readonly json?: true;
}

export function applyCommand({ terminal, stdin, api }: MeshctlContext): Command {
  return new Command('apply')
    .description('put a mesh spec into force; each node that it changes is told at once')
    .requiredOption('-f, --file <file>', 'the mesh spec in YAML or JSON; - reads it from standard input')
    .option('--dry-run', 'check it, and show what it would change, without changing anything')
    .option('--allow-mass-removal', 'it is meant that nodes lose most of their connections or links')
    .option('--json', 'as JSON')
    .action(async ({ file, dryRun, allowMassRemoval, json }: ApplyFlags) => {
      const body = { contentType: SPEC_CONTENT_TYPE, text: await readSpec(file, stdin) };
      const query = new URLSearchParams({
        ...(dryRun && { dryRun: 'true' }),
        ...(allowMassRemoval && { allowMassRemoval: 'true' }),
      });
      const path = query.size === 0 ? '/v1/spec' : `/v1/spec?${query.toString()}`;
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

function renderApply(reply: ApplyReply, style: Style): string {
  const { changed, massRemovals, dryRun } = reply;
  const removals = massRemovals.map(({ node, loss }) =>
    style.bad(`  ${printable(node)} ${dryRun ? 'would lose' : 'loses'} ${loss}`),
  );
  return [
    headOf(reply),
    ...changed.map((change) => renderChange(change, style)),
    ...removals.map((line) => `${line}\n`),
    ...(dryRun && removals.length > 0 ? ['to be applied with --allow-mass-removal\n'] : []),
    unsignedLine(reply),
  ].join('');
}

function headOf({ revision, dryRun, changed }: ApplyReply): string {
  if (changed.length === 0) return `nothing ${dryRun ? 'would change' : 'changed'}; revision ${revision} is in force\n`;
  const count = changed.length === 1 ? '1 node' : `${changed.length} nodes`;
  return dryRun
    ? `would change ${count}; revision ${revision} stays in force\n`
    : `revision ${revision} is in force and changes ${count}\n`;
}

function renderChange(change: NodeChange, style: Style): string {
  return [`  ${printable(change.node)}`, ...changeLines(change, style)].map((line) => `${line}\n`).join('');
}

import { closeSync, createReadStream, existsSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { z } from 'zod';
import { auditEndsSchema, auditRecordSchema, type AuditRecord } from '../coordinator/api.ts';
import { messageOf } from '../errors.ts';
import { verifyChain, type ChainVerdict } from './audit-chain.ts';
import { CliError } from './cli-error.ts';
import { jsonBody, type LocalApi } from './local-api.ts';
import type { MeshctlContext } from './meshctl-context.ts';
import { printable, type Style } from './style.ts';

const LINE_CHARACTERS_MAX = 64 * 1024;

export function auditCommand(context: MeshctlContext): Command {
  return new Command('audit')
    .description('who changed what, and who was refused: a log of which nothing can be changed unnoticed')
    .addCommand(listCommand(context))
    .addCommand(verifyCommand(context))
    .addCommand(exportCommand(context))
    .addCommand(pruneCommand(context));
}

function listCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('list')
    .description('the newest 200 records')
    .option('--after <id>', 'all records after the one with this id; 0 for all that are kept')
    .option('--json', 'one JSON object per line')
    .action(async ({ after, json }: { readonly after?: string; readonly json?: true }) => {
      if (after !== undefined && !/^\d{1,15}$/.test(after)) {
        throw new CliError('bad-input', `--after ${after}: must be the id of a record, a number`);
      }
      const path = after === undefined ? '/v1/audit' : `/v1/audit?after=${after}`;
      for await (const record of api().stream(path, auditRecordSchema)) {
        terminal.out(json ? `${JSON.stringify(record)}\n` : recordLine(record, terminal.style));
      }
    });
}

interface VerifyFlags {
  readonly head?: string;
  readonly json?: true;
}

function verifyCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('verify')
    .description(
      "check that no record was changed, removed or moved: the coordinator's, or files of meshctl audit export",
    )
    .argument('[files...]', 'exported files, oldest first; without any, the coordinator is asked')
    .option('--head <hash>', 'a hash that you know to be of a record: it must be there, or the end was cut off')
    .option('--json', 'as JSON')
    .action(async (files: string[], { head, json }: VerifyFlags) => {
      if (head !== undefined && !/^[0-9a-f]{64}$/.test(head)) {
        throw new CliError('bad-input', '--head: must be a hash of 64 hexadecimal digits');
      }
      const verdict = files.length > 0 ? await verifyChain(recordsIn(files), head) : await verifyKept(api(), head);
      terminal.out(json ? `${JSON.stringify(verdict)}\n` : verdictText(verdict));
      if (verdict.problem !== null)
        throw new CliError('nothing-works', `the audit log is not whole: ${verdict.problem}`);
    });
}

function exportCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('export')
    .description('write records to a file, one JSON object per line, after checking them')
    .argument('<file>', 'a file that is not there yet')
    .option('--after <id>', 'only records after the one with this id', '0')
    .option('--json', 'as JSON')
    .action(async (file: string, { after, json }: { readonly after: string; readonly json?: true }) => {
      if (!/^\d{1,15}$/.test(after)) throw new CliError('bad-input', `--after ${after}: must be the id of a record`);
      const records = api().stream(`/v1/audit?after=${after}`, auditRecordSchema);
      const verdict = await verifyChain(writtenTo(file, records), undefined);
      const text = `${printable(file)}: ${verdictText(verdict)}`;
      terminal.out(json ? `${JSON.stringify({ file, ...verdict })}\n` : text);
      if (verdict.problem !== null)
        throw new CliError('nothing-works', `the audit log is not whole: ${verdict.problem}`);
    });
}

function pruneCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('prune')
    .description('let the coordinator forget the records that a file of meshctl audit export has; the log notes it')
    .argument('<file>', 'the exported file; its records are checked first')
    .option('--json', 'as JSON')
    .action(async (file: string, { json }: { readonly json?: true }) => {
      const { problem, last } = await verifyChain(recordsIn([file]), undefined);
      if (problem !== null) throw new CliError('bad-input', `${printable(file)} is not whole: ${problem}`);
      if (last === null) throw new CliError('bad-input', `${printable(file)} has no records`);
      const body = jsonBody(last);
      const reply = await api().send('POST', '/v1/audit/prune', pruneReplySchema, body);
      terminal.out(json ? `${JSON.stringify(reply)}\n` : `the audit log begins after record ${reply.start.id} now\n`);
    });
}

const pruneReplySchema = auditEndsSchema.pick({ start: true });

/** All that the coordinator keeps, from the start that it says to the head that it says. */
async function verifyKept(api: LocalApi, head: string | undefined): Promise<ChainVerdict> {
  const ends = await api.get('/v1/audit/ends', auditEndsSchema);
  const verdict = await verifyChain(api.stream('/v1/audit?after=0', auditRecordSchema), head, ends.start);
  const isCut = verdict.problem === null && (verdict.last ?? ends.start).id < ends.head.id;
  return isCut ? { ...verdict, problem: `record ${ends.head.id} is missing` } : verdict;
}

async function* recordsIn(files: readonly string[]): AsyncGenerator<AuditRecord, void, undefined> {
  for (const file of files) {
    let line = 0;
    try {
      for await (const text of createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity })) {
        line += 1;
        if (text.length > LINE_CHARACTERS_MAX)
          throw new Error(`a line is longer than ${LINE_CHARACTERS_MAX} characters`);
        if (text !== '') yield auditRecordSchema.parse(JSON.parse(text));
      }
    } catch (cause) {
      const reason =
        cause instanceof z.ZodError || cause instanceof SyntaxError ? 'not an audit record' : messageOf(cause);
      throw new CliError('bad-input', `${printable(file)}: ${line > 0 ? `line ${line}: ` : ''}${reason}`, { cause });
    }
  }
}

/** Passes the records on; each is in the file before the next is asked for, and all are on disk at the end. */
async function* writtenTo(
  file: string,
  records: AsyncIterable<AuditRecord>,
): AsyncGenerator<AuditRecord, void, undefined> {
  if (existsSync(file)) throw new CliError('bad-input', `${file} is there already; nothing was written`);
  const fd = openNew(file);
  try {
    for await (const record of records) {
      writeSync(fd, `${JSON.stringify(record)}\n`);
      yield record;
    }
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (cause) {
    throw new CliError('bad-input', `${printable(file)}: ${messageOf(cause)}`, { cause });
  }
}

function verdictText({ records, first, last, problem }: ChainVerdict): string {
  if (problem !== null) return `${records} records are whole before: ${problem}\n`;
  if (first === null || last === null) return 'no records\n';
  return `records ${first} to ${last.id} are whole; the last has the hash ${last.hash}\n`;
}

function recordLine(record: AuditRecord, style: Style): string {
  const { id, atMs, actor, remote, action, target, outcome, reason, details, times } = record;
  const who = [actor.name === null ? actor.kind : `${actor.kind} ${actor.name}`, ...(remote === null ? [] : [remote])];
  const facts = Object.entries(details).map(([name, value]) => `${name}=${value}`);
  const columns = [
    String(id),
    new Date(atMs).toISOString(),
    who.join(' from '),
    action,
    target ?? '',
    outcome + (times > 1 ? ` (${times} times)` : ''),
    reason ?? '',
    facts.join(' '),
  ];
  const paint = outcome === 'done' ? style.good : style.warn;
  return `${paint(printable(columns.filter((column) => column !== '').join('  ')))}\n`;
}

import { readFileSync, writeFileSync } from 'node:fs';
import { ViciSession } from '../../src/vici/index.ts';

/** How far the memory (RSS) of a process rose above where it stood before. */
export interface MemoryReport {
  readonly peakMb: number;
}

/** Streams all connections of the charon at argv[2], a list of one beforehand: what is needed for one is not counted. */
await using session = await ViciSession.connect({ socketPath: process.argv[2] ?? '' });
await read({ ike: process.argv[3] ?? '' });
// The kernel keeps the peak itself, and this has it begin anew (proc(5)): no sampling could miss it.
writeFileSync('/proc/self/clear_refs', '5');
const idleKb = statusKb('VmRSS');
await read({});
const report: MemoryReport = { peakMb: (statusKb('VmHWM') - idleKb) / 1024 };
process.send?.(report);

async function read(request: { readonly ike?: string }): Promise<void> {
  for await (const conn of session.stream('list-conns', request)) {
    if (conn.children.size === 0) throw new Error(`${conn.name} was not listed in full`);
  }
}

function statusKb(field: string): number {
  const [, kb] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kb);
}

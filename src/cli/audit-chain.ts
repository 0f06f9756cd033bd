import { CHAIN_START, chainProblem, type AuditRecord, type ChainPosition } from '../coordinator/api.ts';

/** What a check of the audit log has come to. */
export interface ChainVerdict {
  /** Records that are whole, from the first on. */
  readonly records: number;
  /** Id of the first record. */
  readonly first: number | null;
  /** The last one that is whole. */
  readonly last: ChainPosition | null;
  /** The first thing that is wrong; null when nothing is. */
  readonly problem: string | null;
}

/**
 * Checks records in their order, up to the first thing that is wrong. Without `start` the first record may be any: what was
 * before it is somewhere else. `head` is a hash that must be among them, which is the only way to see that the end is
 * missing.
 */
export async function verifyChain(
  records: AsyncIterable<AuditRecord>,
  head: string | undefined,
  start?: ChainPosition,
): Promise<ChainVerdict> {
  let verdict: ChainVerdict = { records: 0, first: null, last: null, problem: null };
  let position = start;
  let isHeadSeen = head === undefined || head === start?.hash;
  for await (const record of records) {
    const problem = chainProblem(record, position ?? before(record));
    if (problem !== undefined) return { ...verdict, problem };
    position = { id: record.id, hash: record.hash };
    isHeadSeen ||= record.hash === head;
    verdict = { ...verdict, records: verdict.records + 1, first: verdict.first ?? record.id, last: position };
  }
  return isHeadSeen ? verdict : { ...verdict, problem: `no record has the hash ${head}: the end is missing` };
}

/** The first record of all follows the start; what another one follows is its own word. */
function before({ id, previous }: AuditRecord): ChainPosition {
  return { id: id - 1, hash: id === 1 ? CHAIN_START : previous };
}

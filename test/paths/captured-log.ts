import { readFileSync } from 'node:fs';
import type { CharonLogLine } from '../../src/paths/evidence.ts';
import type { StrongswanVersion } from '../lab/strongswan.ts';

/** A line of a real charon's log, as the event `log` brought it. */
export interface CapturedLine extends CharonLogLine {
  /** What was made to happen, the same for all lines of it. */
  readonly scenario: string;
  /** The host that it is from. */
  readonly end: string;
  /** Since the scenario began; 0 where it was over at once. */
  readonly ms: number;
}

/**
 * Lines of charons that failed: each scenario happened, with two daemons on one wire (`left`, `right`: the set-ups of
 * `test/charon/failing-setups.ts`) or in the lab's default topology (`edge1`, `remote`, `master1`). Left out are the
 * groups NET and KNL, messages that were generated or parsed, but for notifies of failure, and what is said about each
 * candidate address.
 */
export function capturedLines(version: StrongswanVersion): readonly CapturedLine[] {
  const text = readFileSync(new URL(`../fixtures/charon-log/${version}.jsonl`, import.meta.url), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as CapturedLine);
}

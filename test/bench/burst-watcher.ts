import { ViciClient, type SaChange, type SaMap, type ViciIkeSa } from '../../src/vici/index.ts';
import { watchTurns, type Turns } from './longest-turn.ts';
import { leavingNames, SAS } from './many-sas.ts';

/** What `watchSas` saw of a burst. */
export interface BurstReport {
  /** Names of connections, once for each change of that kind. */
  readonly seen: Readonly<Record<SeenChange, readonly string[]>>;
  /** 1 when nothing was ever missed. */
  readonly resyncs: number;
  /** What it has in the end and list-sas has not, and the other way round. */
  readonly differences: readonly string[];
  /** From the beginning to the last change. */
  readonly turns: Turns;
}

type SeenChange = Extract<SaChange['type'], 'ike-up' | 'ike-down' | 'child-up' | 'child-down'>;

/** How long to wait for what others have seen already. */
const LATE_MS = 10_000;

/** Watches the charon at argv[2]; says so, and after the burst what it saw. */
await using client = new ViciClient({ socketPath: process.argv[2] ?? '' });
const seen: Record<SeenChange, string[]> = { 'ike-up': [], 'ike-down': [], 'child-up': [], 'child-down': [] };
const stop = new AbortController();
let resyncs = 0;
const stopTurns = watchTurns();
let sas: SaMap = new Map();

// The burst is over: nothing that is missing by now should take long.
process.once('message', () => setTimeout(() => stop.abort(), LATE_MS).unref());

try {
  for await (const change of client.watchSas({ signal: stop.signal })) {
    ({ sas } = change);
    note(change);
    if (seen['child-up'].length >= SAS && seen['ike-down'].length >= leavingNames.length) break;
  }
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
const turns = stopTurns();
const differences = differencesOf([...sas.values()].map(inWords), (await listedWhenCalm()).map(inWords));
const report: BurstReport = { seen, resyncs, differences, turns };
process.send?.(report);

function note(change: SaChange): void {
  switch (change.type) {
    case 'resync':
      resyncs += 1;
      if (resyncs === 1) process.send?.('watching');
      return;
    case 'ike-up':
    case 'ike-down':
    case 'child-up':
    case 'child-down':
      seen[change.type].push(change.ike.name);
      return;
    case 'ike-update':
    case 'ike-rekey':
    case 'child-rekey':
      throw new Error(`${change.type} is no part of the burst`);
  }
}

/** All SAs, as soon as none is still on its way out. */
async function listedWhenCalm(): Promise<readonly ViciIkeSa[]> {
  const deadline = AbortSignal.timeout(LATE_MS);
  for (;;) {
    const listed: ViciIkeSa[] = [];
    for await (const ike of client.stream('list-sas')) listed.push(ike);
    if (deadline.aborted || listed.every(({ state }) => state === 'ESTABLISHED')) return listed;
  }
}

/** What must be the same on both sides: ids, names and states. */
function inWords(ike: ViciIkeSa): string {
  const children = [...ike['child-sas'].values()].map(({ uniqueid, name, state }) => `${uniqueid} ${name} ${state}`);
  return `${ike.uniqueid} ${ike.name} ${ike.state}: ${children.sort().join(', ')}`;
}

function differencesOf(watched: readonly string[], listed: readonly string[]): readonly string[] {
  const [inWatch, inList] = [new Set(watched), new Set(listed)];
  return [
    ...watched.filter((ike) => !inList.has(ike)).map((ike) => `only watched: ${ike}`),
    ...listed.filter((ike) => !inWatch.has(ike)).map((ike) => `only listed: ${ike}`),
  ];
}

import { ViciSession } from '../../src/vici/index.ts';
import { CharonPair } from '../charon/charon-pair.ts';
import type { BurstReport } from './burst-watcher.ts';
import { messageFrom, startProcess } from './child-process.ts';
import { burst, burstNames, leavingNames, loadMany, MANY_SAS_SETTINGS } from './many-sas.ts';
import { comparison, interleaved, limit, timed, type Measurement } from './row.ts';
import { swanctl } from './swanctl.ts';

const LIST_ROUNDS = 11;
const TURN_MS_MAX = 50;
const SHOWN_MAX = 5;

const SAME = 'burst of 2,000 SAs: watchSas / list-sas afterwards, SAs that differ';
const LOST = 'burst of 2,000 SAs: ups and downs that watchSas missed or told twice';
const TURN = 'burst of 2,000 SAs: longest turn of the event loop of watchSas';
const LIST = 'list-sas of 500 / swanctl --list-sas --raw';

/** How often each name is seen too often or not often enough, in all. */
function miscounted(seen: readonly string[], expected: readonly string[]): number {
  const surplus = new Map<string, number>();
  for (const name of seen) surplus.set(name, (surplus.get(name) ?? 0) + 1);
  for (const name of expected) surplus.set(name, (surplus.get(name) ?? 0) - 1);
  return [...surplus.values()].reduce((sum, count) => sum + Math.abs(count), 0);
}

function missed({ seen, resyncs }: BurstReport): number {
  const ups = miscounted(seen['ike-up'], burstNames) + miscounted(seen['child-up'], burstNames);
  const downs = miscounted(seen['ike-down'], leavingNames) + miscounted(seen['child-down'], leavingNames);
  return ups + downs + (resyncs - 1);
}

async function listAll(session: ViciSession): Promise<void> {
  let count = 0;
  for await (const ike of session.stream('list-sas')) count += ike['child-sas'].size;
  const expected = burstNames.length - leavingNames.length;
  if (count !== expected) throw new Error(`${count} CHILD SAs were listed, not ${expected}`);
}

/** Watches a burst in a process of its own, so that nothing else takes that process's time. */
async function watchedBurst(socketPath: string): Promise<BurstReport> {
  const watcher = startProcess('burst-watcher.js', [socketPath]);
  try {
    await messageFrom(watcher);
    const reported = messageFrom<BurstReport>(watcher);
    const sent = burst(socketPath).then(() => watcher.send('over'));
    const [report] = await Promise.all([reported, sent]);
    return report;
  } finally {
    watcher.kill();
  }
}

export const bursts: Measurement = {
  names: [SAME, LOST, TURN, LIST],
  measure: async (say) => {
    await using pair = await CharonPair.start({ settings: MANY_SAS_SETTINGS });
    const { socketPath } = pair.left;
    await using left = await ViciSession.connect({ socketPath });
    await using right = await ViciSession.connect({ socketPath: pair.right.socketPath });
    await loadMany(left, right);
    const report = await watchedBurst(socketPath);
    say(`the event loop of watchSas came round after ${report.turns.clockMs.toFixed(1)} ms at most, by the clock`);
    for (const difference of report.differences.slice(0, SHOWN_MAX)) say(difference);
    const { runs, ours, other } = await interleaved(LIST_ROUNDS, {
      ours: () => timed(() => listAll(left)),
      other: () => timed(() => swanctl(socketPath, ['--list-sas', '--raw'])),
    });
    return [
      limit(SAME, 'SAs', [report.differences.length], 0),
      limit(LOST, 'changes', [missed(report)], 0),
      limit(TURN, 'ms', [report.turns.busyMs], TURN_MS_MAX),
      comparison(LIST, { runs, ours, other }, { below: 1 }),
    ];
  },
};

import { performance } from 'node:perf_hooks';
import { endLifeOn, isRestart, type NextLife, type ViciLife } from './life.ts';
import type { ViciEventName } from './protocol/events.ts';
import type { ViciIkeSa } from './protocol/sas.ts';
import { SaTable, type SaMap, type SaStep } from './sa-table.ts';
import type { ViciSession } from './session.ts';
import type { ViciSubscription } from './subscription.ts';
import { ViciError } from './vici-error.ts';
import { checkRange, TIMEOUT_MS_MAX } from './wait-limit.ts';

const SA_EVENTS = [
  'ike-updown',
  'ike-rekey',
  'ike-update',
  'child-updown',
  'child-rekey',
] as const satisfies readonly ViciEventName[];

const REFRESH_MS_DEFAULT = 300_000;

/**
 * What happened to the SAs, and their state behind it. `resync` says that the full state was read: at the beginning,
 * after charon was away (`restarted` when it is another process), and when events were missed.
 *
 * The state holds what charon announces: IKE SAs that are established or being rekeyed, with the CHILD SAs that are
 * installed. Attempts (CREATED, CONNECTING) come and go without any event, and SAs that were replaced or are being
 * deleted carry nothing any more, so none of them is here.
 */
export type SaChange = (SaStep | { readonly type: 'resync'; readonly restarted: boolean }) & {
  /** The state behind the change. Live: it moves on with the next one, so copy what must stay. */
  readonly sas: SaMap;
};

/** How to watch. */
export interface WatchSasOptions {
  /** Ends the watch with `aborted`. To stop from outside of the loop: `return()` would wait for the next change. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds after which the full state is read again although no event was missed; five minutes by default. Where
   * it differs, because an SA went in silence, the watch says so with a `resync`.
   */
  readonly refreshMs?: number | undefined;
}

/** Subscribes, lists, and follows the events; again after each loss of charon and whenever events were missed. */
export async function* watchSas(nextLife: NextLife, options: WatchSasOptions): AsyncGenerator<SaChange, void> {
  const { signal, refreshMs = REFRESH_MS_DEFAULT } = options;
  checkRange('refreshMs', refreshMs, TIMEOUT_MS_MAX);
  const table = new SaTable();
  let before: ViciLife | undefined;
  for (;;) {
    const life = await nextLife(signal);
    const { session } = life;
    try {
      // Before the first look, so that nothing falls between the two.
      await using subscription = await session.subscribe(SA_EVENTS, { signal });
      table.reset(await listSas(session, signal));
      const restarted = isRestart(before, life);
      before = life;
      yield { type: 'resync', restarted, sas: table.sas };
      yield* follow(session, subscription, table, signal, refreshMs);
    } catch (error) {
      if (!isPassing(error)) await endLifeOn(error, life);
    }
  }
}

/** Events were missed, or no connection was free for the list: nothing is wrong with charon, so just begin again. */
function isPassing(error: unknown): boolean {
  return error instanceof ViciError && (error.code === 'events-overflow' || error.code === 'queue-full');
}

async function* follow(
  session: ViciSession,
  subscription: ViciSubscription,
  table: SaTable,
  signal: AbortSignal | undefined,
  refreshMs: number,
): AsyncGenerator<SaChange, void> {
  const { sas } = table;
  const events = subscription[Symbol.asyncIterator]();
  let refreshAt = performance.now() + refreshMs;
  let next = events.next();
  for (;;) {
    const event = await within(refreshAt - performance.now(), next);
    if (event === 'time') {
      if (table.reset(await listSas(session, signal))) yield { type: 'resync', restarted: false, sas };
      refreshAt = performance.now() + refreshMs;
      continue;
    }
    if (event.done === true) return;
    for (const step of table.apply(event.value)) yield { ...step, sas };
    if (table.isIncomplete) refreshAt = 0;
    next = events.next();
  }
}

async function listSas(session: ViciSession, signal: AbortSignal | undefined): Promise<readonly ViciIkeSa[]> {
  const sas: ViciIkeSa[] = [];
  for await (const ike of session.stream('list-sas', {}, { signal })) sas.push(ike);
  return sas;
}

/** What the promise resolves to, or `time` when that takes too long. */
function within<T>(ms: number, promise: Promise<T>): Promise<T | 'time'> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve('time'), Math.max(0, ms));
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

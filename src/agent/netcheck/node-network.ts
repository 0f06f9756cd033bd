import { backoffMs, type BackoffPolicy } from '../../backoff.ts';
import { pause as realPause } from '../../clock.ts';
import type { NodeEvent } from '../../control/report.ts';
import type { DesiredState } from '../../ike/desired-state.ts';
import type { Logger } from '../../log.ts';
import type { NetCheck } from './net-check.ts';
import { Reflector } from './reflector.ts';
import { runNetCheck, type CheckDeps } from './run-check.ts';
import { isAsked, targetsOf, type Target } from './targets.ts';

/** A check at most this often, whoever asks. */
const CHECK_GAP_MS = 10_000;
/** How often ports that were taken are tried again. */
const LOOK_MS = 60_000;
/** Between checks that find nothing out: each leaves a line or two in the log of every charon that it asks. */
const FRUITLESS: BackoffPolicy = { baseMs: 60_000, maxMs: 15 * 60_000 };

export interface NodeNetworkDeps extends CheckDeps {
  readonly logger: Logger;
  readonly desired: () => DesiredState | undefined;
  readonly random: () => number;
  /** The kind of NAT is another one than before. */
  readonly onEvent: (event: NodeEvent) => void;
}

/** What the network around this node is like: its own checks, and the reflector for those of others. */
export class NodeNetwork {
  readonly #deps: NodeNetworkDeps;
  readonly #pause: typeof realPause;
  readonly #reflector: Reflector;
  #last: NetCheck | undefined;
  #checked = '';
  /** Checks of the same targets, one after the other, that did not tell the kind of NAT. */
  #fruitless = 0;
  #againAtMs = 0;
  #startedAtMs = Number.NEGATIVE_INFINITY;
  #running: Promise<NetCheck> | undefined;
  #isTriggered = false;
  #wake: () => void = () => undefined;

  constructor(deps: NodeNetworkDeps) {
    this.#deps = deps;
    this.#pause = deps.pause ?? realPause;
    this.#reflector = new Reflector(deps);
  }

  /** The newest result; undefined before the first check, and on a node that has no mediator or hub. */
  get last(): NetCheck | undefined {
    return this.#last;
  }

  /** What is wrong, in words. */
  get problems(): readonly string[] {
    return this.#reflector.problems;
  }

  /** The desired state is another one: look soon. */
  desiredChanged(): void {
    this.#isTriggered = true;
    this.#wake();
  }

  /** Serves the reflector where it is wanted, and checks when there is something new to find out. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await using reflector = this.#reflector;
    while (!signal.aborted) {
      this.#isTriggered = false;
      const desired = this.#deps.desired();
      await reflector.serve(isAsked(desired) ? this.#deps.reflectorPorts : []);
      await this.#untilNext(await this.#checkIfDue(targetsOf(desired), signal), signal);
    }
    // One that agentctl asked for uses sockets, which end with it.
    await this.#running?.catch(() => undefined);
  }

  /**
   * Checks now and resolves to what it finds; joins a check that is under way, and gives the last result when that is
   * younger than {@link CHECK_GAP_MS}. Undefined when the desired state has no mediator or hub to ask.
   */
  async check(signal: AbortSignal): Promise<NetCheck | undefined> {
    const targets = targetsOf(this.#deps.desired());
    if (this.#running !== undefined) return await this.#running;
    if (targets.length === 0 || signal.aborted) return undefined;
    return this.#restMs() > 0 && this.#last !== undefined ? this.#last : await this.#begin(targets, signal);
  }

  /** How long to wait before the next look, in ms. */
  async #checkIfDue(targets: readonly Target[], signal: AbortSignal): Promise<number> {
    if (targets.length === 0) return LOOK_MS;
    const isNew = this.#checked !== keyOf(targets);
    if (!isNew && this.#fruitless === 0) return LOOK_MS;
    const waitMs = isNew ? this.#restMs() : this.#againAtMs - this.#deps.clock.monotonicMs();
    if (waitMs > 0) return Math.min(waitMs, LOOK_MS);
    try {
      await (this.#running ?? this.#begin(targets, signal));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'network check failed');
    }
    return LOOK_MS;
  }

  #restMs(): number {
    return this.#startedAtMs + CHECK_GAP_MS - this.#deps.clock.monotonicMs();
  }

  async #begin(targets: readonly Target[], signal: AbortSignal): Promise<NetCheck> {
    this.#startedAtMs = this.#deps.clock.monotonicMs();
    this.#running = runNetCheck(this.#deps, targets, signal);
    try {
      const found = await this.#running;
      // What was broken off knows only a part.
      if (signal.aborted) return found;
      this.#note(found, keyOf(targets));
      return found;
    } finally {
      this.#running = undefined;
    }
  }

  #note(found: NetCheck, checked: string): void {
    const { clock, random, onEvent } = this.#deps;
    const { natKind } = found;
    if (natKind !== this.#last?.natKind) {
      const message = `kind of NAT: ${natKind}`;
      onEvent({ atMs: clock.nowMs(), kind: 'network', connection: null, child: null, message });
    }
    if (checked !== this.#checked || isTelling(found)) this.#fruitless = 0;
    if (!isTelling(found)) this.#fruitless += 1;
    this.#againAtMs = clock.monotonicMs() + Math.max(CHECK_GAP_MS, backoffMs(this.#fruitless, FRUITLESS, random));
    this.#last = found;
    this.#checked = checked;
  }

  #untilNext(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#isTriggered) return Promise.resolve();
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    return this.#pause(ms, AbortSignal.any([signal, woken.signal]));
  }
}

function isTelling({ natKind }: NetCheck): boolean {
  return natKind !== 'blocked' && natKind !== 'unknown';
}

function keyOf(targets: readonly Target[]): string {
  return JSON.stringify(targets);
}

import type { Clock } from '../clock.ts';
import {
  answeredSentAtMs,
  comparedSinceMs,
  hasJustSent,
  healthOf,
  isIdle,
  isOutdone,
  isWorthAsking,
  lossOf,
  lostSince,
  newProbe,
  nextProbe,
  overdueFor,
  silentMs,
  type PathHealth,
  type PathProbe,
  type PathUse,
  type ProbeEvent,
} from '../paths/path-probe.ts';
import { ProbeSocket } from './probe-socket.ts';

/** One path of one link that is to be probed. */
export interface ProbeTarget {
  readonly link: string;
  readonly path: 'direct' | 'relay';
  /** Own address and the peer's; they lead through this path. */
  readonly local: string;
  readonly remote: string;
  /** Names the SAs that the path goes through: with others, what is known of it begins anew. */
  readonly sas: string;
  readonly use: PathUse;
}

/** What the probes of a path say. */
export interface ProbeReading {
  readonly health: PathHealth;
  /** The SAs that it is about, as the target has them. */
  readonly sas: string;
  /** For how long nothing has come back; 0 when all is well. */
  readonly silentMs: number;
  /** When something came back last; undefined before anything has. */
  readonly answeredAtMs: number | undefined;
  /** Whether nothing comes through it, or ever has, and the link's other path has shown that answers are not only late. */
  readonly isOutdone: boolean;
  readonly rttMs: number | undefined;
  /** Share of the last packets, 0 to 1. */
  readonly loss: number | undefined;
}

export interface ProberDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** A path's health has changed, or whether it is outdone. */
  readonly onChange: () => void;
}

/** Paths of other links that are asked because one is overdue. */
const HURRIED_MAX = 4;

/** A path that gets more of it is looked at now. */
const BUSINESS: Readonly<Record<PathUse, number>> = { spare: 0, idle: 1, busy: 2 };

interface Watched {
  target: ProbeTarget;
  readonly socket: ProbeSocket;
  probe: PathProbe;
  /** Packets sent and received. */
  packets: number;
  timer: NodeJS.Timeout | undefined;
  /** What was told last. */
  told: string;
}

/** Probes the paths that it is told to watch. Owns their sockets and timers. */
export class Prober implements Disposable {
  readonly #deps: ProberDeps;
  readonly #watched = new Map<string, Watched>();
  #heardAtMs: number | undefined;

  constructor(deps: ProberDeps) {
    this.#deps = deps;
  }

  /** Watches exactly these from now on. One that goes through the same SAs as before goes on with what is known of it. */
  watch(targets: readonly ProbeTarget[]): void {
    const wanted = new Map(targets.map((target) => [keyOf(target.link, target.path), target]));
    for (const [key, watched] of this.#watched) {
      const target = wanted.get(key);
      if (target === undefined || !isSame(target, watched.target)) this.#stop(key, watched);
    }
    for (const [key, target] of wanted) {
      const before = this.#watched.get(key);
      if (before === undefined) this.#start(key, target);
      else this.#retarget(key, before, target);
    }
  }

  /** Undefined for a path that is not watched. */
  target(link: string, path: ProbeTarget['path']): ProbeTarget | undefined {
    return this.#watched.get(keyOf(link, path))?.target;
  }

  /** Undefined for a path that is not watched. */
  reading(link: string, path: ProbeTarget['path']): ProbeReading | undefined {
    const watched = this.#watched.get(keyOf(link, path));
    if (watched === undefined) return undefined;
    const nowMs = this.#deps.clock.monotonicMs();
    const { probe, target } = watched;
    return {
      sas: target.sas,
      health: healthOf(probe, nowMs),
      silentMs: silentMs(probe, nowMs),
      answeredAtMs: probe.answeredAtMs,
      isOutdone: isOutdone(probe, nowMs),
      rttMs: probe.rttMs,
      loss: lossOf(probe, nowMs),
    };
  }

  /** Sends a packet through a path now, unless one has just gone out. */
  ask(link: string, path: ProbeTarget['path']): void {
    const key = keyOf(link, path);
    const probe = this.#watched.get(key)?.probe;
    if (probe !== undefined && !hasJustSent(probe, this.#deps.clock.monotonicMs())) this.#take(key, { type: 'due' });
  }

  /** Packets that were sent through a path since `atMs`, monotonic, and are overdue; 0 for one that is not watched. */
  lostSince(link: string, path: ProbeTarget['path'], atMs: number): number {
    const watched = this.#watched.get(keyOf(link, path));
    return watched === undefined ? 0 : lostSince(watched.probe, atMs, this.#deps.clock.monotonicMs());
  }

  /** The paths that are dead now, each by a name of its own, and since when nothing came back through them. */
  dead(): ReadonlyMap<string, number> {
    const nowMs = this.#deps.clock.monotonicMs();
    const dead = [...this.#watched].filter(([, { probe }]) => healthOf(probe, nowMs) === 'dead');
    return new Map(dead.map(([key, { probe }]) => [key, probe.unansweredSinceMs ?? nowMs]));
  }

  /** When anything came back through any of the paths last, monotonic ms; undefined before anything has. */
  get heardAtMs(): number | undefined {
    return this.#heardAtMs;
  }

  /** Probe packets that went through the path, both ways, as far as this end began them. */
  packets(link: string, path: ProbeTarget['path']): number {
    return this.#watched.get(keyOf(link, path))?.packets ?? 0;
  }

  [Symbol.dispose](): void {
    for (const [key, watched] of this.#watched) this.#stop(key, watched);
  }

  /** One that is in use again is looked at now. */
  #retarget(key: string, watched: Watched, target: ProbeTarget): void {
    const isBusier = BUSINESS[target.use] > BUSINESS[watched.target.use];
    watched.target = target;
    if (isBusier && isIdle(watched.probe, this.#deps.clock.monotonicMs())) this.#take(key, { type: 'due' });
  }

  #start(key: string, target: ProbeTarget): void {
    const socket = new ProbeSocket({
      local: target.local,
      remote: target.remote,
      sender: Math.floor(this.#deps.random() * 2 ** 32),
      onAnswer: (sequence) => this.#heard(key, { type: 'answered', sequence }),
      onRefused: () => this.#heard(key, { type: 'refused' }),
    });
    const probe = newProbe(this.#deps.clock.monotonicMs());
    this.#watched.set(key, { target, socket, probe, packets: 0, timer: undefined, told: 'unknown false' });
    this.#take(key, { type: 'time' });
  }

  #stop(key: string, { socket, timer }: Watched): void {
    clearTimeout(timer);
    this.#watched.delete(key);
    socket[Symbol.dispose]();
  }

  #heard(key: string, event: ProbeEvent): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    watched.packets += 1;
    const before = watched.probe;
    this.#take(key, event);
    const { target, probe } = watched;
    if (probe === before) return;
    this.#heardAtMs = probe.answeredAtMs;
    this.#take(twinOf(target), { type: 'other-answered', sentAtMs: answeredSentAtMs(probe) });
  }

  #take(key: string, event: ProbeEvent): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const facts = { nowMs, use: watched.target.use, paths: this.#watched.size };
    const { probe, send } = nextProbe(watched.probe, event, facts);
    watched.probe = probe;
    if (send !== undefined) {
      watched.packets += 1;
      watched.socket.send(send);
      this.#askTwin(watched, nowMs);
      if (overdueFor(probe) === 1) this.#hurryOthers(watched);
    }
    clearTimeout(watched.timer);
    watched.timer = setTimeout(() => this.#take(key, { type: 'time' }), Math.max(0, Math.ceil(probe.nextAtMs - nowMs)));
    this.#tell(watched, nowMs);
  }

  /**
   * Whether one that is overdue has died or this node's network has is for the link's other path to say. So each of its
   * packets takes one through that path along, until something has come back: the first one may be lost as well. Of two that
   * have never worked neither says anything about the other.
   */
  #askTwin({ target, probe }: Watched, nowMs: number): void {
    const sinceMs = comparedSinceMs(probe, nowMs);
    if (sinceMs === undefined) return;
    const key = twinOf(target);
    const twin = this.#watched.get(key)?.probe;
    if (twin === undefined || (twin.answeredAtMs === undefined && probe.answeredAtMs === undefined)) return;
    if (isWorthAsking(twin, sinceMs, nowMs)) this.#take(key, { type: 'due' });
  }

  /**
   * One that is overdue makes a few of other links due, once, that were not asked for long. When those are overdue too, each
   * of them does the same; so all are asked soon when all are dead, and hardly any when one packet of a crowd was lost.
   */
  #hurryOthers({ target: { link } }: Watched): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const hurried = [...this.#watched]
      .filter(([, { target, probe }]) => target.link !== link && isIdle(probe, nowMs))
      .toSorted(([, a], [, b]) => a.probe.nextAtMs - b.probe.nextAtMs)
      .slice(0, HURRIED_MAX);
    for (const [other] of hurried) this.#take(other, { type: 'due' });
  }

  #tell(watched: Watched, nowMs: number): void {
    const news = `${healthOf(watched.probe, nowMs)} ${isOutdone(watched.probe, nowMs)}`;
    if (news === watched.told) return;
    watched.told = news;
    this.#deps.onChange();
  }
}

function keyOf(link: string, path: ProbeTarget['path']): string {
  return `${link} ${path}`;
}

/** The key of the link's other path. */
function twinOf({ link, path }: ProbeTarget): string {
  return keyOf(link, path === 'direct' ? 'relay' : 'direct');
}

function isSame(a: ProbeTarget, b: ProbeTarget): boolean {
  return a.local === b.local && a.remote === b.remote && a.sas === b.sas;
}

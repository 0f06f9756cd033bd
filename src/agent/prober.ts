import type { Clock } from '../clock.ts';
import type { PathKind } from '../ike/steering.ts';
import { afterAnswer } from '../paths/lateness.ts';
import {
  answeredSentAtMs,
  comparedSinceMs,
  hasJustSent,
  healthOf,
  isIdle,
  isOutdone,
  isWorthAsking,
  isWorthAskingBack,
  lateBy,
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
  type ProbeMoment,
} from '../paths/path-probe.ts';
import { ProbeSocket } from './probe-socket.ts';

/** One path of one link that is to be probed. */
export interface ProbeTarget {
  readonly link: string;
  readonly path: PathKind;
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
  /** When something came back last, through any path of a kind. */
  readonly #heardAtMs = new Map<PathKind, number>();
  readonly #lateMs: Record<PathKind, number> = { direct: 0, relay: 0 };

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
  target(link: string, path: PathKind): ProbeTarget | undefined {
    return this.#watched.get(keyOf(link, path))?.target;
  }

  /** Undefined for a path that is not watched. */
  reading(link: string, path: PathKind): ProbeReading | undefined {
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
  ask(link: string, path: PathKind): void {
    const key = keyOf(link, path);
    const probe = this.#watched.get(key)?.probe;
    if (probe !== undefined && !hasJustSent(probe, this.#deps.clock.monotonicMs())) this.#take(key, { type: 'due' });
  }

  /**
   * A peer has asked through the path between these addresses. One that was silent asks as well, at once: its next packet may
   * be far off.
   */
  askBack(local: string, remote: string): void {
    for (const [key, { target, probe }] of this.#watched) {
      const isIt = target.local === local && target.remote === remote;
      if (isIt && isWorthAskingBack(probe, this.#moment(target.path).nowMs)) this.#take(key, { type: 'due' });
    }
  }

  /** Packets that were sent through a path since `atMs`, monotonic, and are overdue; 0 for one that is not watched. */
  lostSince(link: string, path: PathKind, atMs: number): number {
    const watched = this.#watched.get(keyOf(link, path));
    return watched === undefined ? 0 : lostSince(watched.probe, atMs, this.#moment(path));
  }

  /** The paths that are dead now, each by a name of its own, and since when nothing came back through them. */
  dead(): ReadonlyMap<string, number> {
    const nowMs = this.#deps.clock.monotonicMs();
    const dead = [...this.#watched].filter(([, { probe }]) => healthOf(probe, nowMs) === 'dead');
    return new Map(dead.map(([key, { probe }]) => [key, probe.unansweredSinceMs ?? nowMs]));
  }

  /** When anything came back through any of the paths last, monotonic ms; undefined before anything has. */
  get heardAtMs(): number | undefined {
    return this.#heardAtMs.size === 0 ? undefined : Math.max(...this.#heardAtMs.values());
  }

  /** Probe packets that went through the path, both ways, as far as this end began them. */
  packets(link: string, path: PathKind): number {
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
    const { target, probe: before } = watched;
    const { nowMs, lateMs } = this.#moment(target.path);
    const lateByMs = event.type === 'answered' ? lateBy(before, event.sequence, nowMs) : undefined;
    if (lateByMs !== undefined) this.#lateMs[target.path] = afterAnswer(lateMs, lateByMs);
    this.#take(key, event);
    if (watched.probe === before) return;
    this.#heardAtMs.set(target.path, nowMs);
    this.#take(twinOf(target), { type: 'other-answered', sentAtMs: answeredSentAtMs(watched.probe) });
  }

  #take(key: string, event: ProbeEvent): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    const { target } = watched;
    const moment = this.#moment(target.path);
    const { probe, send } = nextProbe(watched.probe, event, { ...moment, use: target.use, paths: this.#watched.size });
    watched.probe = probe;
    if (send !== undefined) {
      watched.packets += 1;
      watched.socket.send(send);
      this.#askTwin(watched);
      if (overdueFor(probe) === 1) this.#hurryOthers(watched);
    }
    clearTimeout(watched.timer);
    const inMs = Math.max(0, Math.ceil(probe.nextAtMs - moment.nowMs));
    watched.timer = setTimeout(() => this.#take(key, { type: 'time' }), inMs);
    this.#tell(watched, moment.nowMs);
  }

  #moment(path: PathKind): ProbeMoment {
    return { nowMs: this.#deps.clock.monotonicMs(), lateMs: this.#lateMs[path] };
  }

  /**
   * Whether one that is overdue has died or this node's network has is for the link's other path to say. So each of its
   * packets takes one through that path along, until something has come back: the first one may be lost as well. Of two that
   * have never worked neither says anything about the other. A relay is only asked whether it is this node's network: when
   * anything at all has come back since, it is not, and with a hub the relays of all links go.
   */
  #askTwin({ target, probe }: Watched): void {
    if (target.path === 'relay' && (this.heardAtMs ?? -Infinity) > (probe.unansweredSinceMs ?? Infinity)) return;
    const key = twinOf(target);
    const twin = this.#watched.get(key);
    if (twin === undefined || (twin.probe.answeredAtMs === undefined && probe.answeredAtMs === undefined)) return;
    const moment = this.#moment(twin.target.path);
    const sinceMs = comparedSinceMs(probe, moment.nowMs);
    if (sinceMs !== undefined && isWorthAsking(twin.probe, sinceMs, moment)) this.#take(key, { type: 'due' });
  }

  /**
   * One that is overdue makes a few of other links due, once, that were not asked for long. When those are overdue too, each
   * of them does the same; so all are asked soon when all are dead, and hardly any when one packet of a crowd was lost. None is
   * when something has come back since through another one of the kind: then it is not all of them.
   */
  #hurryOthers({ target: { link, path }, probe: { unansweredSinceMs = Infinity } }: Watched): void {
    if ((this.#heardAtMs.get(path) ?? -Infinity) > unansweredSinceMs) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const hurried = [...this.#watched]
      .filter(([, { target, probe }]) => target.path === path && target.link !== link && isIdle(probe, nowMs))
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

function keyOf(link: string, path: PathKind): string {
  return `${link} ${path}`;
}

/** The key of the link's other path. */
function twinOf({ link, path }: ProbeTarget): string {
  return keyOf(link, path === 'direct' ? 'relay' : 'direct');
}

function isSame(a: ProbeTarget, b: ProbeTarget): boolean {
  return a.local === b.local && a.remote === b.remote && a.sas === b.sas;
}

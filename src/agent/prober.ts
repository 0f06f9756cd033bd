import type { Clock } from '../clock.ts';
import {
  healthOf,
  isIdle,
  isOverdue,
  lossOf,
  newProbe,
  nextProbe,
  silentMs,
  type PathHealth,
  type PathProbe,
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
  readonly inUse: boolean;
}

/** What the probes of a path say. */
export interface ProbeReading {
  readonly health: PathHealth;
  /** For how long nothing has come back; 0 when all is well. */
  readonly silentMs: number;
  readonly rttMs: number | undefined;
  /** Share of the last packets, 0 to 1. */
  readonly loss: number | undefined;
}

export interface ProberDeps {
  readonly clock: Clock;
  readonly random: () => number;
  /** A path's health has changed. */
  readonly onChange: () => void;
}

interface Watched {
  target: ProbeTarget;
  readonly socket: ProbeSocket;
  probe: PathProbe;
  /** Packets sent and received. */
  packets: number;
  timer: NodeJS.Timeout | undefined;
  /** The health that was told last. */
  told: PathHealth;
}

/** Probes the paths that it is told to watch. Owns their sockets and timers. */
export class Prober implements Disposable {
  readonly #deps: ProberDeps;
  readonly #watched = new Map<string, Watched>();

  constructor(deps: ProberDeps) {
    this.#deps = deps;
  }

  /** Watches exactly these from now on. One that was watched goes on with what is known of it. */
  watch(targets: readonly ProbeTarget[]): void {
    const wanted = new Set(targets.map(keyOf));
    for (const [key, watched] of this.#watched) if (!wanted.has(key)) this.#stop(key, watched);
    for (const target of targets) {
      const key = keyOf(target);
      const before = this.#watched.get(key);
      if (before === undefined) this.#start(key, target);
      else before.target = target;
    }
  }

  /** Undefined for a path that is not watched. */
  target(link: string, path: ProbeTarget['path']): ProbeTarget | undefined {
    return this.#find(link, path)?.target;
  }

  /** Undefined for a path that is not watched. */
  reading(link: string, path: ProbeTarget['path']): ProbeReading | undefined {
    const watched = this.#find(link, path);
    if (watched === undefined) return undefined;
    const nowMs = this.#deps.clock.monotonicMs();
    const { probe } = watched;
    return {
      health: healthOf(probe, nowMs),
      silentMs: silentMs(probe, nowMs),
      rttMs: probe.rttMs,
      loss: lossOf(probe, nowMs),
    };
  }

  /** The paths that are dead now, each by a name of its own. */
  dead(): ReadonlySet<string> {
    const nowMs = this.#deps.clock.monotonicMs();
    const dead = [...this.#watched].filter(([, { probe }]) => healthOf(probe, nowMs) === 'dead');
    return new Set(dead.map(([key]) => key));
  }

  /** Whether some path has answered later than the last answer of every path that is silent now. */
  hasAnswerSinceSilence(): boolean {
    const probes = [...this.#watched.values()].map(({ probe }) => probe);
    const silentSinceMs = Math.min(...probes.map(({ unansweredSinceMs = Infinity }) => unansweredSinceMs));
    return probes.some(({ answeredAtMs }) => answeredAtMs !== undefined && answeredAtMs > silentSinceMs);
  }

  /** Probe packets that went through the path, both ways, as far as this end began them. */
  packets(link: string, path: ProbeTarget['path']): number {
    return this.#find(link, path)?.packets ?? 0;
  }

  [Symbol.dispose](): void {
    for (const [key, watched] of this.#watched) this.#stop(key, watched);
  }

  #find(link: string, path: ProbeTarget['path']): Watched | undefined {
    for (const watched of this.#watched.values()) {
      if (watched.target.link === link && watched.target.path === path) return watched;
    }
    return undefined;
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
    this.#watched.set(key, { target, socket, probe, packets: 0, timer: undefined, told: 'unknown' });
    this.#take(key, { type: 'time' });
  }

  #stop(key: string, { socket, timer }: Watched): void {
    clearTimeout(timer);
    this.#watched.delete(key);
    socket[Symbol.dispose]();
  }

  #heard(key: string, event: ProbeEvent): void {
    const watched = this.#watched.get(key);
    if (watched !== undefined) watched.packets += 1;
    this.#take(key, event);
  }

  #take(key: string, event: ProbeEvent): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    const { probe, send } = nextProbe(watched.probe, event, { nowMs, inUse: watched.target.inUse });
    watched.probe = probe;
    if (send !== undefined) {
      watched.packets += 1;
      watched.socket.send(send);
      // One that is overdue makes the others due: they show whether it is this node's network.
      if (isOverdue(probe)) this.#hurryOthers(key);
    }
    clearTimeout(watched.timer);
    watched.timer = setTimeout(() => this.#take(key, { type: 'time' }), Math.max(0, Math.ceil(probe.nextAtMs - nowMs)));
    this.#tell(watched, nowMs);
  }

  #hurryOthers(key: string): void {
    for (const [other, { probe }] of this.#watched) {
      if (other !== key && isIdle(probe, this.#deps.clock.monotonicMs())) this.#take(other, { type: 'due' });
    }
  }

  #tell(watched: Watched, nowMs: number): void {
    const health = healthOf(watched.probe, nowMs);
    if (health === watched.told) return;
    watched.told = health;
    this.#deps.onChange();
  }
}

function keyOf({ link, path, local, remote, sas }: ProbeTarget): string {
  return `${link} ${path} ${local} ${remote} ${sas}`;
}

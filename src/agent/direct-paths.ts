import type { Clock } from '../clock.ts';
import type { LinkHint } from '../control/frames.ts';
import type { DesiredLink, DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';
import {
  abandonedAt,
  changesAtMs,
  NEW_DIRECT_PATH,
  nextDirectPath,
  type DirectPath,
  type DirectPathEvent,
} from '../paths/direct-path.ts';
import type { DatedEvidence } from '../paths/evidence-board.ts';
import { causeBy, causeOf, type CauseEvidence, type PathCause } from '../paths/path-cause.ts';
import { afterSetUp, patienceMs } from '../paths/set-up-pace.ts';
import { fits, initiateKey, isSetUpUnderWay } from '../reconcile/plan.ts';
import { isRegistered, mediatedLinks, type MediatedLink, type MediatedWay } from './hints.ts';
import { indexSas, installedIn, type SasOf } from './installed-sas.ts';

/**
 * Mediations at once whose outcome is open. Should the mediation connection go meanwhile, charon parks a worker for each
 * until it is back. One that hangs has no place here: its IKE SA waits in CREATED without a worker.
 */
const UNDERWAY_MAX = 4;

/** So many times as long as a try has, and it is not slow but hangs for ever: until then the other end has had its turn. */
const HANGS_FACTOR = 3;

/** A peer that is to end a tunnel is told so again, should a word be lost on its way. */
const TELL_AGAIN_MS = 300;

/** How long evidence counts at the end that answers. */
const EVIDENCE_MS = 300_000;

/** What a round has to go by. */
export interface DirectPathsInput {
  readonly desired: DesiredState;
  readonly ikeSas: readonly IkeSa[];
  readonly hints: ReadonlyMap<string, LinkHint>;
  /** Whether nothing comes through the direct tunnel of this link, which goes through these IKE SAs. */
  readonly isSilent: (link: DesiredLink, ikeSas: readonly IkeSa[]) => boolean;
  /** Whether packets pass the direct tunnel of this link, or nothing can be known about that. */
  readonly isProven: (link: DesiredLink, ikeSas: readonly IkeSa[]) => boolean;
  /** What this node knows besides: its own NAT, and what charon's log has proved about a connection. */
  readonly ownNat: CauseEvidence['ownNat'];
  readonly logged: (connection: string) => DatedEvidence | undefined;
}

/** What the direct paths want of a round. */
export interface DirectWishes {
  /** Mediated children, by pace key, that may be initiated now. */
  readonly turns: ReadonlySet<string>;
  /** Mediated children, by pace key, of links whose direct tunnel packets have come through. */
  readonly worked: ReadonlySet<string>;
  /** IKE SAs that this end is to end: nothing comes through any more, or the peer has not ended them as it was told. */
  readonly abandon: ReadonlySet<number>;
  /**
   * Links whose direct tunnel is given up, and the IKE SAs of it that are still there: the peer is to be told, once this
   * end sends nothing through them any more.
   */
  readonly lost: readonly { readonly link: DesiredLink; readonly ikeSas: readonly IkeSa[] }[];
  /** Mediated connections of links that charon has shown to begin nothing for: it waits for an earlier mediation with the peer. */
  readonly held: ReadonlySet<string>;
  /** Tries whose outcome is open. */
  readonly trying: number;
  /** Ms until time alone changes a path, or a peer is to be told again; infinite when neither will be. */
  readonly changesInMs: number;
}

/** The direct path of each mediated link of this node. */
export class DirectPaths {
  readonly #clock: Clock;
  readonly #random: () => number;
  #paths = new Map<string, DirectPath>();
  #causes = new Map<string, PathCause | undefined>();
  /** When each link was last initiated from here. */
  #triedAtMs = new Map<string, number>();
  /** Since when each link has had an IKE SA that is not established yet, whoever has begun it. */
  #pendingSinceMs: ReadonlyMap<string, number> = new Map();
  /** Links whose direct tunnel is to be given up at the next look. */
  readonly #reconnects = new Set<string>();
  /** What set-ups take, smoothed, in ms; undefined before the first that has worked. */
  #setUpTakesMs: number | undefined;

  constructor(deps: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** By link id. */
  get paths(): ReadonlyMap<string, DirectPath> {
    return this.#paths;
  }

  /** Why a link has no direct path; undefined while there is nothing to explain. */
  causeOf(link: string): PathCause | undefined {
    return this.#causes.get(link);
  }

  /** Takes in what charon and the probes show. */
  observed(input: DirectPathsInput): DirectWishes {
    const links = mediatedLinks(input.desired);
    const { ikeSas, hints } = input;
    const sasOf = indexSas(ikeSas);
    this.#paths = new Map(links.map((mediated) => [mediated.link.id, this.#look(mediated, sasOf, input)]));
    this.#reconnects.clear();
    this.#causes = new Map(links.map((mediated) => [mediated.link.id, this.#explain(mediated, sasOf, input)]));
    for (const id of this.#triedAtMs.keys()) if (!this.#paths.has(id)) this.#triedAtMs.delete(id);
    this.#notePending(links, sasOf);
    const hanging = links.filter((mediated) => this.#hangs(mediated, hints, sasOf));
    for (const { link } of hanging) this.#passTurnOn(link.id);
    const phases = [...this.#paths.values()];
    const underway = links.filter(({ link }) => this.#isOpen(link.id)).length;
    const failuresOf = ({ link }: MediatedLink): number => this.#paths.get(link.id)?.failures ?? 0;
    const turns = links
      .filter((mediated) => this.#isWanted(mediated, sasOf))
      // Those that have failed often must not keep the others from having their first try.
      .toSorted((a, b) => failuresOf(a) - failuresOf(b))
      .flatMap((mediated) => wayInTurn(mediated, hints, sasOf).filter((way) => !isUnderWay(way, mediated, sasOf)))
      .filter(({ mediatedBy }) => isRegistered(mediatedBy, sasOf(mediatedBy)))
      .slice(0, Math.max(0, UNDERWAY_MAX - underway))
      .map(keyOfWay);
    return {
      turns: new Set(turns),
      worked: new Set(links.filter(({ link }) => this.#isProven(link.id)).flatMap(({ ways }) => ways.map(keyOfWay))),
      abandon: new Set(phases.flatMap((path) => abandonedAt(path, this.#clock.monotonicMs()))),
      lost: links.flatMap(({ link }) => {
        const path = this.#paths.get(link.id);
        if (path?.phase !== 'ending') return [];
        return [{ link, ikeSas: ikeSas.filter(({ uniqueId }) => path.ikeSaIds.includes(uniqueId)) }];
      }),
      held: new Set(
        links
          .filter((mediated) => this.#isHeld(mediated, hanging.includes(mediated), input.logged))
          .flatMap(({ ways }) => ways.map(({ connection }) => connection)),
      ),
      trying: phases.filter(({ phase }) => phase === 'trying').length,
      changesInMs: this.#changesInMs(),
    };
  }

  initiated(link: string): void {
    const path = this.#paths.get(link) ?? NEW_DIRECT_PATH;
    this.#paths.set(link, this.#next(path, { type: 'initiated' }, link));
    this.#triedAtMs.set(link, this.#clock.monotonicMs());
  }

  /** Has the direct tunnel of this link given up at the next look, if it is up then; another one is set up as after a loss. */
  reconnect(link: string): void {
    this.#reconnects.add(link);
  }

  /** This node's addresses or routes have changed. */
  networkChanged(): void {
    for (const [link, path] of this.#paths) this.#paths.set(link, this.#next(path, { type: 'network-changed' }, link));
  }

  get #patienceMs(): number {
    return patienceMs(this.#setUpTakesMs);
  }

  #changesInMs(): number {
    const facts = { nowMs: this.#clock.monotonicMs(), patienceMs: this.#patienceMs };
    const times = [...this.#paths.values()].flatMap((path) => {
      const atMs = changesAtMs(path, facts);
      if (atMs === undefined) return [];
      return path.phase === 'ending' ? [Math.min(atMs, facts.nowMs + TELL_AGAIN_MS)] : [atMs];
    });
    const freed = [...this.#pendingSinceMs.values()].map((sinceMs) => sinceMs + facts.patienceMs);
    return Math.max(0, Math.min(...times, ...freed.filter((atMs) => atMs > facts.nowMs)) - facts.nowMs);
  }

  #notePending(links: readonly MediatedLink[], sasOf: SasOf): void {
    const pending = links.filter((mediated) => isPending(mediated, sasOf)).map(({ link }) => link.id);
    const before = this.#pendingSinceMs;
    this.#pendingSinceMs = new Map(pending.map((id) => [id, before.get(id) ?? this.#clock.monotonicMs()]));
  }

  /** Whether it is this node's turn, which it cannot take: charon hangs at an earlier try. */
  #hangs(mediated: MediatedLink, hints: DirectPathsInput['hints'], sasOf: SasOf): boolean {
    const { id } = mediated.link;
    if (this.#paths.get(id)?.phase !== 'idle' || this.#isOpen(id)) return false;
    return wayInTurn(mediated, hints, sasOf).some((way) => isUnderWay(way, mediated, sasOf));
  }

  /** A turn that cannot be taken is told as a try that failed: the coordinator then gives it to the other end. */
  #passTurnOn(link: string): void {
    this.#paths.set(link, this.#next(this.#paths.get(link) ?? NEW_DIRECT_PATH, { type: 'blocked' }, link));
  }

  #isProven(link: string): boolean {
    const path = this.#paths.get(link);
    return path?.phase === 'up' && path.proven;
  }

  /** Whether a mediation of the link is under way that may still come to something soon. */
  #isOpen(link: string): boolean {
    const pendingSinceMs = this.#pendingSinceMs.get(link) ?? Number.NEGATIVE_INFINITY;
    const isYoung = this.#clock.monotonicMs() - pendingSinceMs < this.#patienceMs;
    return isYoung || this.#paths.get(link)?.phase === 'trying';
  }

  #look(mediated: MediatedLink, sasOf: SasOf, { isSilent, isProven, logged }: DirectPathsInput): DirectPath {
    const { link } = mediated;
    const before = this.#paths.get(link.id) ?? NEW_DIRECT_PATH;
    const carriers = installedIn(link.direct, sasOf);
    const path = this.#next(before, observation(mediated, carriers, sasOf), link.id);
    if (path.phase === 'up' && before.phase !== 'up') this.#learnFrom(link.id, carriers);
    if (path.phase === 'trying' && isStuck(mediated, path.sinceMs, logged))
      return this.#next(path, { type: 'stuck' }, link.id);
    if (path.phase !== 'up') return path;
    const ikeSaIds = carriers.map(({ uniqueId }) => uniqueId);
    if (isSilent(link, carriers)) return this.#next(path, { type: 'silent', ikeSaIds }, link.id);
    if (this.#reconnects.has(link.id)) return this.#next(path, { type: 'reconnect', ikeSaIds }, link.id);
    return isProven(link, carriers) ? this.#next(path, { type: 'proven' }, link.id) : path;
  }

  /** What the other end has set up says nothing of how long this one has to wait. */
  #learnFrom(link: string, carriers: readonly IkeSa[]): void {
    const triedAtMs = this.#triedAtMs.get(link);
    if (triedAtMs === undefined || !carriers.some(({ initiator }) => initiator)) return;
    this.#setUpTakesMs = afterSetUp(this.#setUpTakesMs, this.#clock.monotonicMs() - triedAtMs);
  }

  #explain(mediated: MediatedLink, sasOf: SasOf, input: DirectPathsInput): PathCause | undefined {
    const { link, ways } = mediated;
    const path = this.#paths.get(link.id) ?? NEW_DIRECT_PATH;
    if (path.phase === 'up') return undefined;
    const hint = input.hints.get(link.id);
    return causeOf({
      ownRegistered: ways.some(({ mediatedBy }) => isRegistered(mediatedBy, sasOf(mediatedBy))),
      peerOnline: hint?.peerOnline,
      peerRegistered: hint?.peerRegistered,
      ownNat: input.ownNat,
      peerNat: hint?.peerNat ?? 'unknown',
      logged: causeBy(this.#recent(link.id, latestOf(mediated, input.logged))?.evidence),
      failures: path.failures,
      lost: path.lost,
    });
  }

  /**
   * Whether charon begins no mediation with the peer any more: it has said so, or hangs at one for long without having come
   * as far as its checks, of which it would have said something.
   */
  #isHeld(mediated: MediatedLink, hangs: boolean, logged: DirectPathsInput['logged']): boolean {
    const code = this.#recent(mediated.link.id, latestOf(mediated, logged))?.evidence.code;
    if (!hangs || code !== undefined) return code === 'stuck-in-charon';
    const sinceMs = this.#pendingSinceMs.get(mediated.link.id) ?? Infinity;
    return this.#clock.monotonicMs() - sinceMs >= HANGS_FACTOR * this.#patienceMs;
  }

  /** Older evidence is about another try. An end that does not initiate has the last minutes. */
  #recent(link: string, evidence: DatedEvidence | undefined): DatedEvidence | undefined {
    const sinceMs = this.#triedAtMs.get(link) ?? this.#clock.monotonicMs() - EVIDENCE_MS;
    return evidence !== undefined && evidence.atMs >= sinceMs ? evidence : undefined;
  }

  /** A tunnel whose selectors are not the configured ones any more is set up anew beside the old one. */
  #isWanted(mediated: MediatedLink, sasOf: SasOf): boolean {
    const phase = this.#paths.get(mediated.link.id)?.phase;
    if (phase !== 'up') return phase === 'idle';
    const childSas = sasOfLink(mediated, sasOf).flatMap((ikeSa) => ikeSa.childSas);
    return !mediated.ways.some(({ child }) => childSas.some((each) => each.name === child.name && fits(each, child)));
  }

  #next(path: DirectPath, event: DirectPathEvent, link: string): DirectPath {
    const facts = {
      nowMs: this.#clock.monotonicMs(),
      random: this.#random,
      patienceMs: this.#patienceMs,
      cause: this.#causes.get(link),
    };
    return nextDirectPath(path, event, facts);
  }
}

function observation(mediated: MediatedLink, carriers: readonly IkeSa[], sasOf: SasOf): DirectPathEvent {
  if (carriers.length === 0) {
    return { type: 'observed', sa: sasOfLink(mediated, sasOf).length > 0 ? 'pending' : 'none' };
  }
  return { type: 'observed', sa: 'up', ikeSaIds: carriers.map(({ uniqueId }) => uniqueId) };
}

/** The peer may answer under the connection of another mediator: its charon knows it by its identity only. */
function sasOfLink({ ways }: MediatedLink, sasOf: SasOf): readonly IkeSa[] {
  return ways.flatMap(({ connection }) => sasOf(connection));
}

/**
 * The way that this node is to take now, if it is the one to initiate. A mediator that it is registered at twice is asked
 * through the second registration: there is one only for peers that are asked for in vain through the first.
 */
function wayInTurn(
  { link, ways }: MediatedLink,
  hints: ReadonlyMap<string, LinkHint>,
  sasOf: SasOf,
): readonly MediatedWay[] {
  const hint = hints.get(link.id);
  if (hint?.initiate !== true) return [];
  const there = ways.filter(({ mediator }) => mediator === hint.mediator);
  const way = there.findLast(({ mediatedBy }) => isRegistered(mediatedBy, sasOf(mediatedBy))) ?? there[0];
  return way === undefined ? [] : [way];
}

/** Whether charon is at a set-up, or hangs at one, so that it would begin none by this way. */
function isUnderWay({ connection }: MediatedWay, mediated: MediatedLink, sasOf: SasOf): boolean {
  return isSetUpUnderWay(sasOf(connection), sasOfLink(mediated, sasOf));
}

function keyOfWay({ connection, child }: MediatedWay): string {
  return initiateKey(connection, child.name);
}

/** The newest evidence about any way of a link. */
function latestOf({ ways }: MediatedLink, logged: DirectPathsInput['logged']): DatedEvidence | undefined {
  const known = ways.flatMap(({ connection }) => logged(connection) ?? []);
  return known.toSorted((a, b) => b.atMs - a.atMs)[0];
}

/** Whether charon has said since the beginning of the try that it waits for what will not come. */
function isStuck(mediated: MediatedLink, sinceMs: number, logged: DirectPathsInput['logged']): boolean {
  const latest = latestOf(mediated, logged);
  return latest?.evidence.code === 'stuck-in-charon' && latest.atMs >= sinceMs;
}

function isPending(mediated: MediatedLink, sasOf: SasOf): boolean {
  return sasOfLink(mediated, sasOf).some(({ state }) => state === 'CREATED' || state === 'CONNECTING');
}

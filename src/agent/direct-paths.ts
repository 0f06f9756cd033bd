import type { Clock } from '../clock.ts';
import type { LinkHint } from '../control/frames.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';
import { NEW_DIRECT_PATH, nextDirectPath, type DirectPath, type DirectPathEvent } from '../paths/direct-path.ts';
import { fits, initiateKey } from '../reconcile/plan.ts';
import { isRegistered, mediatedLinks, type MediatedLink } from './hints.ts';
import { isInstalled } from './report.ts';

/** Mediations under way at once: each may hold a charon worker for a minute. */
const UNDERWAY_MAX = 4;

/** The direct path of each mediated link of this node. */
export class DirectPaths {
  readonly #clock: Clock;
  readonly #random: () => number;
  #paths = new Map<string, DirectPath>();

  constructor(deps: { readonly clock: Clock; readonly random: () => number }) {
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** By link id. */
  get paths(): ReadonlyMap<string, DirectPath> {
    return this.#paths;
  }

  /** Takes in what charon shows, and answers which mediated children (by pace key) may be initiated now. */
  observed(desired: DesiredState, ikeSas: readonly IkeSa[], hints: ReadonlyMap<string, LinkHint>): ReadonlySet<string> {
    const links = mediatedLinks(desired);
    this.#paths = new Map(
      links.map(({ link, connection }) => [link.id, this.#next(link.id, observation(link.direct, connection, ikeSas))]),
    );
    const underway = links.filter(
      ({ link, connection }) => this.#paths.get(link.id)?.phase === 'trying' || isPending(connection, ikeSas),
    ).length;
    return new Set(
      links
        .filter((mediated) => isTurn(mediated, hints) && this.#isWanted(mediated, ikeSas))
        .filter(({ mediatedBy }) => isRegistered(mediatedBy, ikeSas))
        .slice(0, Math.max(0, UNDERWAY_MAX - underway))
        .map(({ connection, child }) => initiateKey(connection, child.name)),
    );
  }

  /** A tunnel whose selectors are not the configured ones any more is set up anew beside the old one. */
  #isWanted({ link, connection, child }: MediatedLink, ikeSas: readonly IkeSa[]): boolean {
    const phase = this.#paths.get(link.id)?.phase;
    if (phase !== 'up') return phase === 'idle';
    const childSas = ikeSas.filter(({ name }) => name === connection).flatMap((ikeSa) => ikeSa.childSas);
    return !childSas.some((childSa) => childSa.name === child.name && fits(childSa, child));
  }

  initiated(link: string): void {
    this.#paths.set(link, this.#next(link, { type: 'initiated' }));
  }

  #next(link: string, event: DirectPathEvent): DirectPath {
    const facts = { nowMs: this.#clock.monotonicMs(), random: this.#random };
    return nextDirectPath(this.#paths.get(link) ?? NEW_DIRECT_PATH, event, facts);
  }
}

function observation(
  direct: Parameters<typeof isInstalled>[0],
  connection: string,
  ikeSas: readonly IkeSa[],
): DirectPathEvent {
  if (isInstalled(direct, ikeSas)) return { type: 'observed', sa: 'up' };
  return { type: 'observed', sa: ikeSas.some(({ name }) => name === connection) ? 'pending' : 'none' };
}

function isTurn({ link }: MediatedLink, hints: ReadonlyMap<string, LinkHint>): boolean {
  const hint = hints.get(link.id);
  return hint?.registered === true && hint.initiate;
}

function isPending(connection: string, ikeSas: readonly IkeSa[]): boolean {
  return ikeSas.some(({ name, state }) => name === connection && (state === 'CREATED' || state === 'CONNECTING'));
}

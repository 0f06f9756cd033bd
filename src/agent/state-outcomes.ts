import type { AgentFrame, ResourceOutcome } from '../control/frames.ts';
import { canonicalJson } from '../json.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { RoundResult } from '../reconcile/loop.ts';
import type { StateKeeper } from './state-keeper.ts';

export interface StateOutcomesDeps {
  readonly keeper: Pick<StateKeeper, 'held'>;
  /** Sends on the control channel when it is open. */
  readonly send: (frame: AgentFrame) => boolean;
}

/** What has become of the desired state in charon, as the coordinator is told: an ack or a nack for each generation. */
export class StateOutcomes {
  readonly #deps: StateOutcomesDeps;
  #applied: number | null = null;
  #sent = '';

  constructor(deps: StateOutcomesDeps) {
    this.#deps = deps;
  }

  /** The generation that charon was given all of, but what it refuses; null when it is not the one that is held. */
  get applied(): number | null {
    return this.#applied;
  }

  /** Another state is held from now on. */
  begin(): void {
    this.#applied = null;
  }

  /** The coordinator has none of them any more. */
  forget(): void {
    this.#sent = '';
  }

  /** Takes in what a round came to, and tells the coordinator if that is news. `desired`: what rounds work towards now. */
  take(round: RoundResult, desired: DesiredState | undefined): void {
    const { held } = this.#deps.keeper;
    // A round that began before this state was received says nothing about it.
    if (held === undefined || round.target === undefined || round.target.desired !== desired) return;
    const refused = new Map(
      round.refusals.filter(({ step }) => step !== 'initiate').map(({ resource, message }) => [resource, message]),
    );
    if (round.notLoaded.length > 0 && refused.size === 0) return;
    const isListed = round.target.crlDigest !== undefined;
    const wanted = ['credentials', ...(isListed ? ['crl'] : []), ...held.state.connections.map(({ name }) => name)];
    // What the node adds by itself is told of when it is refused.
    const names = new Set([...wanted, ...refused.keys()]);
    const outcomes = Array.from(names, (resource): ResourceOutcome => {
      const message = refused.get(resource) ?? (round.notLoaded.includes(resource) ? 'not loaded yet' : null);
      return { resource, ok: message === null, message };
    });
    const { epoch, generation } = held.statement;
    this.#applied = round.notLoaded.length === 0 ? generation : null;
    const frame: AgentFrame = { type: refused.size === 0 ? 'ack' : 'nack', epoch, generation, outcomes };
    const digest = canonicalJson(frame);
    if (digest !== this.#sent && this.#deps.send(frame)) this.#sent = digest;
  }
}

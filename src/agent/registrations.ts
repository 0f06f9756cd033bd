import type { Clock } from '../clock.ts';
import type { DesiredState } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** For how long this node has been registered at its mediators, by what its looks at charon have shown. */
export class Registrations {
  readonly #clock: Clock;
  /** Monotonic ms of the first sight, by the IKE SA's unique id. */
  #sinceMs: ReadonlyMap<number, number> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes in what charon shows now. Gives ms by the name of the mediation connection; those that are not up are absent. */
  look({ connections }: DesiredState, ikeSas: readonly IkeSa[]): ReadonlyMap<string, number> {
    const nowMs = this.#clock.monotonicMs();
    const names = new Set<string>(
      connections.filter(({ kind }) => kind === 'mediation-client').map(({ name }) => name),
    );
    const up = ikeSas.filter(({ name, state }) => names.has(name) && state === 'ESTABLISHED');
    const before = this.#sinceMs;
    this.#sinceMs = new Map(up.map(({ uniqueId }) => [uniqueId, before.get(uniqueId) ?? nowMs]));
    return new Map(up.map(({ name, uniqueId }) => [name, nowMs - (this.#sinceMs.get(uniqueId) ?? nowMs)]));
  }
}

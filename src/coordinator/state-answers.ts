import type { Clock } from '../clock.ts';
import type { AgentFrame } from '../control/frames.ts';
import type { NodeName } from '../ike/connection.ts';
import type { IssuedStates } from './issued-states.ts';
import type { StateVersion } from './mesh-store.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SpecInForce } from './spec-in-force.ts';

/** What a node says of a state that it was told: it is in charon, or why not. */
export type StateAnswer = Extract<AgentFrame, { type: 'ack' | 'nack' }>;

export interface StateAnswersDeps {
  readonly registry: Pick<NodeRegistry, 'statusOf' | 'applied'>;
  readonly spec: Pick<SpecInForce, 'versionOf'>;
  readonly issued: Pick<IssuedStates, 'epoch'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Tells the operator. */
  readonly note: (node: NodeName, kind: string, message: string) => void;
}

/** What nodes made of the states that they were told. */
export class StateAnswers {
  readonly #deps: StateAnswersDeps;

  constructor(deps: StateAnswersDeps) {
    this.#deps = deps;
  }

  take(node: NodeName, answer: StateAnswer): void {
    const { registry, clock, note } = this.#deps;
    const { type, generation, outcomes } = answer;
    const failed = outcomes.filter(({ ok }) => !ok);
    if (this.#isNews(node, answer)) {
      registry.applied(node, { generation, ok: type === 'ack', outcomes: failed }, clock.nowMs());
    }
    const reasons = failed.map(({ resource, message }) => `${resource}: ${message ?? 'refused without a reason'}`);
    const text = type === 'ack' ? `generation ${generation} is in charon` : reasons.join('; ');
    note(node, type, text);
  }

  /** Whether all of this version, or of a later one, is in the node's charon. */
  hasTaken(node: NodeName, { generation }: StateVersion): boolean {
    const outcome = this.#deps.registry.statusOf(node)?.outcome;
    return outcome?.ok === true && outcome.generation >= generation;
  }

  /** What a node says of a state that it has kept does not hide that it has refused the wanted one. */
  #isNews(node: NodeName, { type, epoch, generation }: StateAnswer): boolean {
    const { registry, spec, issued } = this.#deps;
    const wanted = spec.versionOf(node)?.generation;
    if (type === 'nack' && generation === wanted) return true;
    if (epoch !== issued.epoch) return type === 'nack';
    const last = registry.statusOf(node)?.outcome;
    return generation === wanted || last?.ok !== false || last.generation !== wanted;
  }
}

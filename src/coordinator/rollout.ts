import type { Clock } from '../clock.ts';
import type { NodeName } from '../ike/connection.ts';
import { digestOfText } from '../json.ts';
import type { Logger } from '../log.ts';
import type { ApplyReply } from './api.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import type { HintDelivery } from './hint-delivery.ts';
import type { IssuedStates } from './issued-states.ts';
import type { SigningStore } from './signing-store.ts';
import { SpecRefused, type ApplyConsent, type SpecInForce } from './spec-in-force.ts';
import type { StateAnswers } from './state-answers.ts';
import type { StateDelivery } from './state-delivery.ts';

export interface RolloutDeps {
  readonly spec: SpecInForce;
  readonly store: Pick<SigningStore, 'release'>;
  readonly issued: IssuedStates;
  readonly answers: StateAnswers;
  readonly delivery: StateDelivery;
  readonly hints: HintDelivery;
  readonly audit: Pick<AuditLog, 'beginOwn'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  /** Tells the operator. */
  readonly note: (node: NodeName | null, kind: string, message: string) => void;
}

export interface ApplySpecOptions {
  readonly dryRun: boolean;
  /** Nodes may lose most of what they have. */
  readonly allowMassRemoval?: boolean;
  /** Without one, it is the coordinator's own doing. */
  readonly attempt?: Attempt;
}

/** Puts into force what the mesh is to be, and brings the nodes what follows from it. */
export class Rollout {
  readonly #deps: RolloutDeps;

  constructor(deps: RolloutDeps) {
    this.#deps = deps;
  }

  /** Goes on with the stored spec. To be called once, before all else. */
  resume(): void {
    const { issued, note } = this.#deps;
    this.recompile({ allowMassRemoval: false })();
    this.push();
    if (!issued.isHeldBack) return;
    const text = `restored, in the new epoch ${issued.epoch}: nodes keep what they have until a mesh spec is applied`;
    note(null, 'epoch', text);
  }

  /**
   * Puts a spec into force and tells the nodes that are here, or (dry run) says what that would do. Throws a SpecRefused or
   * a MassRemovalRefused.
   */
  apply(text: string, options: ApplySpecOptions): ApplyReply {
    const { spec, store, issued, delivery, audit, clock, note } = this.#deps;
    const { dryRun, allowMassRemoval = false, attempt = audit.beginOwn('spec.apply') } = options;
    attempt.about(null, { specSha256: digestOfText(text), allowMassRemoval });
    if (dryRun) {
      const plan = spec.plan(text);
      attempt.changedNothing();
      return { revision: spec.revision?.revision ?? 0, dryRun, ...plan, unsigned: [], signingProblem: null };
    }
    // With the spec or not at all: what a backup held is in force again, or replaced.
    const commit: Attempt['commit'] = (change, detailsOf) =>
      attempt.commit(() => {
        store.release();
        return change();
      }, detailsOf);
    const consent = this.#consent(allowMassRemoval);
    const { revision, changed, plan } = spec.apply(text, clock.nowMs(), consent, { commit });
    issued.released();
    if (changed.length > 0) note(null, 'spec', `mesh spec revision ${revision} changes ${changed.length} nodes`);
    this.push();
    return { revision, dryRun, ...plan, ...delivery.waiting() };
  }

  /** See {@link SpecInForce.recompile}. A stored spec that is none any more is left as it is. */
  recompile({ allowMassRemoval }: Pick<ApplyConsent, 'allowMassRemoval'>): () => void {
    const { spec, clock, logger } = this.#deps;
    try {
      return spec.recompile(clock.nowMs(), this.#consent(allowMassRemoval));
    } catch (error) {
      if (!(error instanceof SpecRefused)) throw error;
      logger.error({ mistakes: error.mistakes }, 'stored mesh spec is refused by this version');
      return () => undefined;
    }
  }

  /** Tells the nodes that are here of what is new for them, and everybody of what follows for the links. */
  push(): void {
    const { spec, delivery, hints } = this.#deps;
    delivery.issue();
    hints.use(spec.mediatedLinks);
  }

  #consent(allowMassRemoval: boolean): ApplyConsent {
    return { allowMassRemoval, hasTaken: (node, version) => this.#deps.answers.hasTaken(node, version) };
  }
}

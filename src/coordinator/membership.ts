import type { Clock } from '../clock.ts';
import { CLOSE_CODES } from '../control/frames.ts';
import type { NodeName } from '../ike/connection.ts';
import type { AdmissionStore } from './admission-store.ts';
import type { RevocationReply } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { RevocationList } from './revocation-list.ts';
import type { Rollout } from './rollout.ts';
import type { SpecInForce } from './spec-in-force.ts';
import type { StateDelivery } from './state-delivery.ts';

export interface MembershipDeps {
  readonly store: Pick<AdmissionStore, 'node' | 'revoke' | 'readmit' | 'revocations'>;
  readonly spec: Pick<SpecInForce, 'nodes'>;
  readonly registry: Pick<NodeRegistry, 'drop' | 'forget'>;
  readonly crl: Pick<RevocationList, 'keepUp'>;
  readonly rollout: Pick<Rollout, 'recompile' | 'push'>;
  readonly delivery: Pick<StateDelivery, 'waiting'>;
  readonly audit: Pick<AuditLog, 'beginOwn'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Tells the operator. */
  readonly note: (node: NodeName, kind: string, message: string) => void;
}

/** Which nodes may be part of the mesh, by the operator's word. Without an attempt it is the coordinator's own doing. */
export class Membership {
  readonly #deps: MembershipDeps;

  constructor(deps: MembershipDeps) {
    this.#deps = deps;
  }

  /**
   * Throws a node out, with every key that it ever had: its channel is closed, and all others are told to let go of it, as
   * soon as what they are told is signed. Idempotent. Throws an ApiRefused when neither the spec nor the store knows such
   * a node.
   */
  revoke(node: NodeName, reason: string | null, attempt = this.#begin('node.revoke')): RevocationReply {
    const { store, spec, registry, crl, rollout, delivery, clock, note } = this.#deps;
    attempt.about(node, reason === null ? {} : { why: reason });
    const isKnown = spec.nodes.has(node) || store.node(node) !== undefined;
    if (!isKnown && store.revocations.of(node) === undefined) {
      throw new ApiRefused('not-found', `there is no node "${node}": the mesh spec has none, and none has enrolled`);
    }
    const changed = this.#change(attempt, () => store.revoke(node, reason, clock.nowMs()));
    registry.drop(node, CLOSE_CODES.revoked, 'this node is revoked');
    if (changed) note(node, 'revoke', `revoked${reason === null ? '' : `: ${reason}`}`);
    // First, so that no charon lets it in again after it has let go of it.
    crl.keepUp();
    rollout.push();
    return { node, changed, ...delivery.waiting() };
  }

  /** The node may enrol again, with a new token and new keys. Idempotent, as {@link revoke} is. */
  readmit(node: NodeName, attempt = this.#begin('node.readmit')): RevocationReply {
    const { store, registry, rollout, delivery, clock, note } = this.#deps;
    attempt.about(node);
    const changed = this.#change(attempt, () => store.readmit(node, clock.nowMs()));
    if (changed) {
      registry.forget(node);
      note(node, 'readmit', 'may enrol again');
    }
    rollout.push();
    return { node, changed, ...delivery.waiting() };
  }

  #begin(action: string): Attempt {
    return this.#deps.audit.beginOwn(action);
  }

  /** Changes who may be a member, and all states by it, in one transaction. */
  #change(attempt: Attempt, change: () => boolean): boolean {
    const { rollout } = this.#deps;
    const { changed, adopt } = attempt.commit(
      () => ({ changed: change(), adopt: rollout.recompile({ allowMassRemoval: true }) }),
      ({ changed }) => ({ changed }),
    );
    adopt();
    return changed;
  }
}

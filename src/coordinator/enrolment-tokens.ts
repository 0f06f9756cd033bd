import type { NodeName } from '../ike/connection.ts';
import type { Admission } from './admission.ts';
import type { AdmissionStore } from './admission-store.ts';
import type { TokenReply, TokenView } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { AuditLog } from './audit-log.ts';
import type { SpecInForce } from './spec-in-force.ts';
import { tokenView } from './views.ts';

export interface EnrolmentTokensDeps {
  readonly admission: Pick<Admission, 'issueToken'>;
  readonly store: Pick<AdmissionStore, 'tokens' | 'revocations'>;
  readonly spec: Pick<SpecInForce, 'nodes' | 'groupsOf'>;
  readonly audit: Pick<AuditLog, 'beginOwn'>;
  /** Wall-clock time, ms since the epoch. */
  readonly now: () => number;
  /** Tells the operator. */
  readonly note: (node: NodeName | null, kind: string, message: string) => void;
}

/** The tokens that let nodes enrol, as the operator makes and revokes them. Without an attempt it is the coordinator's own doing. */
export class EnrolmentTokens {
  readonly #deps: EnrolmentTokensDeps;

  constructor(deps: EnrolmentTokensDeps) {
    this.#deps = deps;
  }

  /** For one enrolment of one node. Throws an ApiRefused when the node is revoked: the token could not be used. */
  issue(node: NodeName, ttlSeconds: number, attempt = this.#deps.audit.beginOwn('token.create')): TokenReply {
    const { admission, store, spec, now, note } = this.#deps;
    attempt.about(node, { ttlSeconds });
    if (store.revocations.of(node) !== undefined) {
      throw new ApiRefused('conflict', `node "${node}" is revoked: run meshctl node readmit ${node} first`);
    }
    const order = { subject: { node }, uses: 1, ttlSeconds };
    const { text: token, id, expiresAtMs } = admission.issueToken(order, now(), attempt);
    note(node, 'token', 'enrolment token made');
    return { id, node, group: null, uses: 1, token, expiresAtMs, inSpec: spec.nodes.has(node) };
  }

  /** For so many enrolments of nodes that the spec has in this group. */
  issueForGroup(
    group: string,
    uses: number,
    ttlSeconds: number,
    attempt = this.#deps.audit.beginOwn('token.create'),
  ): TokenReply {
    const { admission, spec, now, note } = this.#deps;
    attempt.about(null, { group, uses, ttlSeconds });
    const order = { subject: { group }, uses, ttlSeconds };
    const { text: token, id, expiresAtMs } = admission.issueToken(order, now(), attempt);
    note(null, 'token', `enrolment token made for group ${group}`);
    const inSpec = [...spec.nodes.keys()].some((node) => spec.groupsOf(node).includes(group));
    return { id, node: null, group, uses, token, expiresAtMs, inSpec };
  }

  /** Those that have not expired, never the secret. */
  list(): TokenView[] {
    const { store, now } = this.#deps;
    return store.tokens.list(now()).map(tokenView);
  }

  /** Idempotent. Throws an ApiRefused when there is no such token. */
  revoke(id: string, attempt = this.#deps.audit.beginOwn('token.revoke')): void {
    const { store, now, note } = this.#deps;
    attempt.about(null, { token: id });
    attempt.commit(() => {
      if (store.tokens.revoke(id, now())) return;
      throw new ApiRefused('not-found', `there is no token ${id}: see meshctl token list`);
    });
    note(null, 'token', `enrolment token ${id} revoked`);
  }
}

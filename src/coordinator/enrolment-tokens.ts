import type { Clock } from '../clock.ts';
import { createToken, hashTokenSecret, parseToken } from '../identity/token.ts';
import type { NodeName } from '../ike/connection.ts';
import type { AdmissionStore } from './admission-store.ts';
import type { TokenReply, TokenView } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import type { SpecInForce } from './spec-in-force.ts';
import type { TokenSubject } from './token-store.ts';
import { tokenView } from './views.ts';

export interface EnrolmentTokensDeps {
  /** Of the mesh's CA; part of each token. */
  readonly caPin: string;
  readonly store: Pick<AdmissionStore, 'addToken' | 'tokens' | 'revocations'>;
  readonly spec: Pick<SpecInForce, 'nodes' | 'groupsOf'>;
  readonly audit: Pick<AuditLog, 'beginOwn'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Tells the operator. */
  readonly note: (node: NodeName | null, kind: string, message: string) => void;
}

interface TokenOrder {
  readonly subject: TokenSubject;
  readonly uses: number;
  readonly ttlSeconds: number;
}

/** The tokens that let nodes enrol, as the operator makes and revokes them. Without an attempt it is the coordinator's own doing. */
export class EnrolmentTokens {
  readonly #deps: EnrolmentTokensDeps;

  constructor(deps: EnrolmentTokensDeps) {
    this.#deps = deps;
  }

  /** For one enrolment of one node. Throws an ApiRefused when the node is revoked: the token could not be used. */
  issue(node: NodeName, ttlSeconds: number, attempt = this.#deps.audit.beginOwn('token.create')): TokenReply {
    const { store, spec, note } = this.#deps;
    attempt.about(node, { ttlSeconds });
    if (store.revocations.of(node) !== undefined) {
      throw new ApiRefused('conflict', `node "${node}" is revoked: run meshctl node readmit ${node} first`);
    }
    const made = this.#make({ subject: { node }, uses: 1, ttlSeconds }, attempt);
    note(node, 'token', 'enrolment token made');
    return { ...made, node, group: null, uses: 1, inSpec: spec.nodes.has(node) };
  }

  /** For so many enrolments of nodes that the spec has in this group. */
  issueForGroup(
    group: string,
    uses: number,
    ttlSeconds: number,
    attempt = this.#deps.audit.beginOwn('token.create'),
  ): TokenReply {
    const { spec, note } = this.#deps;
    attempt.about(null, { group, uses, ttlSeconds });
    const made = this.#make({ subject: { group }, uses, ttlSeconds }, attempt);
    note(null, 'token', `enrolment token made for group ${group}`);
    const inSpec = [...spec.nodes.keys()].some((node) => spec.groupsOf(node).includes(group));
    return { ...made, node: null, group, uses, inSpec };
  }

  /** Those that have not expired, never the secret. */
  list(): TokenView[] {
    const { store, clock } = this.#deps;
    return store.tokens.list(clock.nowMs()).map(tokenView);
  }

  /** Idempotent. Throws an ApiRefused when there is no such token. */
  revoke(id: string, attempt = this.#deps.audit.beginOwn('token.revoke')): void {
    const { store, clock, note } = this.#deps;
    attempt.about(null, { token: id });
    attempt.commit(() => {
      if (store.tokens.revoke(id, clock.nowMs())) return;
      throw new ApiRefused('not-found', `there is no token ${id}: see meshctl token list`);
    });
    note(null, 'token', `enrolment token ${id} revoked`);
  }

  /** Only the hash of the token is kept. */
  #make({ subject, uses, ttlSeconds }: TokenOrder, attempt: Attempt): Pick<TokenReply, 'id' | 'token' | 'expiresAtMs'> {
    const { caPin, store, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const token = createToken(caPin);
    const hash = hashTokenSecret(parseToken(token).secret);
    const expiresAtMs = nowMs + ttlSeconds * 1000;
    const id = attempt.commit(() => store.addToken({ hash, subject, uses, expiresAtMs }, nowMs));
    return { id, token, expiresAtMs };
  }
}

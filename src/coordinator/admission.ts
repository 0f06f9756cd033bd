import type { Clock } from '../clock.ts';
import { CLOSE_CODES } from '../control/frames.ts';
import { verifyCsr, type VerifiedCsr } from '../identity/csr.ts';
import { issueChannelCertificate, issueIkeCertificate, type NodeIssuance } from '../identity/certificates.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { authorityOf, type MeshCa } from '../identity/mesh-ca.ts';
import type { CertificatePurpose } from '../identity/renewal.ts';
import { hashTokenSecret, tokenIdOf } from '../identity/token.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import type { AdmissionStore, NodeRecord, TokenCheck, TokenRefusal } from './admission-store.ts';
import { lifeInDays, type CertificatePolicy } from './certificate-policy.ts';
import { EnrolmentRefused, type EnrolmentRefusedCode } from './enrol-refused.ts';
import type { HintDelivery } from './hint-delivery.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SpecInForce } from './spec-in-force.ts';
import type { StateDelivery } from './state-delivery.ts';

const REFUSALS: Readonly<Record<TokenRefusal, readonly [EnrolmentRefusedCode, string]>> = {
  unknown: ['token-unknown', 'this token is not known here'],
  revoked: ['token-revoked', 'this token was revoked'],
  expired: ['token-expired', 'this token has expired'],
  used: ['token-used', 'this token was used before, with other keys'],
  'other-node': ['token-not-for-this-node', 'this token is for a node of another name'],
  'not-in-group': [
    'token-not-for-this-node',
    'this token is for nodes of a group of the mesh spec that have not enrolled yet, and no such node has this name',
  ],
  'name-needed': ['node-name-needed', 'this token is for a group of nodes: say which one this is, with --name'],
  'node-revoked': ['node-revoked', 'this node is revoked: it has to be readmitted first, with meshctl node readmit'],
  'key-in-use': ['key-refused', 'one of the keys is in use already'],
  'key-barred': ['key-refused', 'one of the keys was revoked'],
};

export interface AdmissionDeps {
  readonly ca: MeshCa;
  readonly policy: CertificatePolicy;
  readonly store: Pick<AdmissionStore, 'checkToken' | 'enroll'>;
  readonly spec: Pick<SpecInForce, 'groupsOf'>;
  readonly registry: Pick<NodeRegistry, 'drop'>;
  readonly delivery: Pick<StateDelivery, 'keysFor'>;
  readonly hints: Pick<HintDelivery, 'changed'>;
  readonly audit: Pick<AuditLog, 'begin'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** Tells the operator. */
  readonly note: (node: NodeName, kind: string, message: string) => void;
}

interface Enrolment {
  readonly record: Enrolled;
  /** False when the node had it already and only asked again. */
  readonly isNew: boolean;
}

/** Lets nodes into the mesh: exchanges their tokens for certificates. */
export class Admission {
  readonly #deps: AdmissionDeps;

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  /** The token is consumed and the record written in one transaction. Throws an EnrolmentRefused. */
  async enroll(request: EnrolmentRequest, remote: string): Promise<EnrolmentReply> {
    const attempt = this.#deps.audit.begin('node.enroll', { actor: { kind: 'stranger', name: null }, remote });
    try {
      const { record, isNew } = await this.#exchange(request, attempt);
      if (isNew) this.#enrolled(record.name, remote);
      return this.#reply(record);
    } catch (error) {
      if (error instanceof EnrolmentRefused) attempt.refused(error.message);
      else attempt.failed(error);
      throw error;
    }
  }

  /** The token is checked before anything is signed, so that strangers cannot make the coordinator work. */
  async #exchange(request: EnrolmentRequest, attempt: Attempt): Promise<Enrolment> {
    const { store, spec, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const hash = hashTokenSecret(request.secret);
    attempt.about(request.node ?? null);
    const { channelCsr, ikeCsr } = request;
    const [channel, ike] = await Promise.all([proven(channelCsr), ikeCsr === undefined ? undefined : proven(ikeCsr)]);
    const name = request.node as NodeName | undefined;
    const keys = { channelKey: channel.spkiSha256, ikeKey: ike?.spkiSha256 };
    const applicant = { keys, name, groups: name === undefined ? [] : spec.groupsOf(name) };
    const check = store.checkToken(hash, applicant, nowMs);
    if (check.kind === 'refused') throw refusal(check.reason);
    if (check.kind === 'repeated') {
      attempt.changedNothing();
      return { record: check.record, isNew: false };
    }
    attempt.about(check.node, { token: tokenIdOf(hash) });
    const certificates = await this.#issue(check.node, { channel, ike }, nowMs);
    const consume = (): Enrolment => {
      const consumed = store.enroll(hash, applicant, { ...certificates, enrolledAtMs: nowMs });
      return enrolmentOf(consumed, certificates);
    };
    return attempt.commit(consume, ({ isNew }) => ({ isNew }));
  }

  async #issue(node: NodeName, { channel, ike }: Proven, nowMs: number): Promise<Certificates> {
    const { ca, policy } = this.#deps;
    const issuance = (purpose: CertificatePurpose, { publicKey }: VerifiedCsr): NodeIssuance => {
      return { node, publicKey, nowMs, validityDays: lifeInDays(policy, purpose) };
    };
    const [channelCertificate, ikeCertificate] = await Promise.all([
      issueChannelCertificate(ca, issuance('channel', channel)),
      ike && issueIkeCertificate(ca, issuance('ike', ike)),
    ]);
    return { channelCertificate, ikeCertificate };
  }

  #enrolled(node: NodeName, remote: string): void {
    const { registry, hints, note } = this.#deps;
    note(node, 'enrol', `enrolled from ${remote}`);
    // A channel that is open now was let in with the key of an earlier enrolment.
    registry.drop(node, CLOSE_CODES.unknownNode, 'this node was enrolled anew');
    hints.changed(node);
  }

  #reply({ name, channelCertificate, ikeCertificate }: Enrolled): EnrolmentReply {
    const { ca, delivery } = this.#deps;
    const certificates = { channelCertificate, ...(ikeCertificate !== undefined && { ikeCertificate }) };
    return { node: name, mesh: ca.mesh, ...authorityOf(ca), ...certificates, signingKeys: delivery.keysFor(name) };
  }
}

type Certificates = Pick<NodeRecord, 'channelCertificate' | 'ikeCertificate'>;
type Enrolled = Certificates & Pick<NodeRecord, 'name'>;

/** The same token may have been used while the certificates were signed. */
function enrolmentOf(check: TokenCheck, certificates: Certificates): Enrolment {
  switch (check.kind) {
    case 'refused':
      throw refusal(check.reason);
    case 'repeated':
      return { record: check.record, isNew: false };
    case 'fresh':
      return { record: { name: check.node, ...certificates }, isNew: true };
  }
}

/** What each certificate is to be for; no IKE certificate where the operator places one. */
interface Proven {
  readonly channel: VerifiedCsr;
  readonly ike: VerifiedCsr | undefined;
}

async function proven(csr: string): Promise<VerifiedCsr> {
  try {
    return await verifyCsr(csr);
  } catch (cause) {
    if (cause instanceof IdentityError) throw new EnrolmentRefused('csr-invalid', cause.message, { cause });
    throw cause;
  }
}

function refusal(reason: TokenRefusal): EnrolmentRefused {
  return new EnrolmentRefused(...REFUSALS[reason]);
}

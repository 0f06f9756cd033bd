import { verifyCsr, type VerifiedCsr } from '../identity/csr.ts';
import { issueChannelCertificate, issueIkeCertificate, type NodeIssuance } from '../identity/certificates.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { authorityOf, caPinOf, type MeshCa } from '../identity/mesh-ca.ts';
import type { CertificatePurpose } from '../identity/renewal.ts';
import { createToken, hashTokenSecret, parseToken, tokenIdOf } from '../identity/token.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Attempt } from './audit-log.ts';
import type { AdmissionStore, NodeRecord, TokenCheck, TokenRefusal } from './admission-store.ts';
import { lifeInDays, type CertificatePolicy } from './certificate-policy.ts';
import { EnrolmentRefused, type EnrolmentRefusedCode } from './enrol-refused.ts';
import type { TokenSubject } from './token-store.ts';

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

export interface TokenOrder {
  readonly subject: TokenSubject;
  readonly uses: number;
  readonly ttlSeconds: number;
}

export interface IssuedToken {
  /** The whole token; only its hash is kept. */
  readonly text: string;
  readonly id: string;
  readonly expiresAtMs: number;
}

export interface Enrolment {
  readonly reply: Omit<EnrolmentReply, 'signingKeys'>;
  /** False when the node had it already and only asked again. */
  readonly isNew: boolean;
}

/** Lets nodes into the mesh: hands out tokens, and certificates for them. */
export class Admission {
  readonly #ca: MeshCa;
  readonly #store: AdmissionStore;
  readonly #policy: CertificatePolicy;
  readonly #groupsOf: (node: NodeName) => readonly string[];

  /** `groupsOf`: the groups of a node of the mesh spec in force; none for any other. */
  constructor(
    ca: MeshCa,
    store: AdmissionStore,
    policy: CertificatePolicy,
    groupsOf: (node: NodeName) => readonly string[],
  ) {
    this.#ca = ca;
    this.#store = store;
    this.#policy = policy;
    this.#groupsOf = groupsOf;
  }

  issueToken({ subject, uses, ttlSeconds }: TokenOrder, nowMs: number, attempt: Attempt): IssuedToken {
    const text = createToken(caPinOf(this.#ca.certificatePem));
    const hash = hashTokenSecret(parseToken(text).secret);
    const expiresAtMs = nowMs + ttlSeconds * 1000;
    const id = attempt.commit(() => this.#store.addToken({ hash, subject, uses, expiresAtMs }, nowMs));
    return { text, id, expiresAtMs };
  }

  /**
   * Exchanges a token for certificates. The token is checked before anything is signed, so that strangers cannot make
   * the coordinator work; it is consumed and the record written in one transaction, after. Throws an EnrolmentRefused.
   */
  async enroll(request: EnrolmentRequest, nowMs: number, attempt: Attempt): Promise<Enrolment> {
    const hash = hashTokenSecret(request.secret);
    attempt.about(request.node ?? null);
    const [channel, ike] = await Promise.all([proven(request.channelCsr), proven(request.ikeCsr)]);
    const name = request.node as NodeName | undefined;
    const keys = { channelKey: channel.spkiSha256, ikeKey: ike.spkiSha256 };
    const applicant = { keys, name, groups: name === undefined ? [] : this.#groupsOf(name) };
    const check = this.#store.checkToken(hash, applicant, nowMs);
    if (check.kind === 'refused') throw refusal(check.reason);
    if (check.kind === 'repeated') {
      attempt.changedNothing();
      return { reply: this.#reply(check.record), isNew: false };
    }
    attempt.about(check.node, { token: tokenIdOf(hash) });
    const certificates = await this.#issue(check.node, { channel, ike }, nowMs);
    const consume = (): Enrolment => {
      const consumed = this.#store.enroll(hash, applicant, { ...certificates, enrolledAtMs: nowMs });
      return this.#consumed(consumed, certificates);
    };
    return attempt.commit(consume, ({ isNew }) => ({ isNew }));
  }

  /** The same token may have been used while the certificates were signed. */
  #consumed(check: TokenCheck, certificates: Certificates): Enrolment {
    switch (check.kind) {
      case 'refused':
        throw refusal(check.reason);
      case 'repeated':
        return { reply: this.#reply(check.record), isNew: false };
      case 'fresh':
        return { reply: this.#reply({ name: check.node, ...certificates }), isNew: true };
    }
  }

  async #issue(node: NodeName, keys: Record<CertificatePurpose, VerifiedCsr>, nowMs: number): Promise<Certificates> {
    const issuance = (purpose: CertificatePurpose): NodeIssuance => {
      return { node, publicKey: keys[purpose].publicKey, nowMs, validityDays: lifeInDays(this.#policy, purpose) };
    };
    const [channelCertificate, ikeCertificate] = await Promise.all([
      issueChannelCertificate(this.#ca, issuance('channel')),
      issueIkeCertificate(this.#ca, issuance('ike')),
    ]);
    return { channelCertificate, ikeCertificate };
  }

  #reply({ name, channelCertificate, ikeCertificate }: Certificates & Pick<NodeRecord, 'name'>): Enrolment['reply'] {
    return { node: name, mesh: this.#ca.mesh, ...authorityOf(this.#ca), channelCertificate, ikeCertificate };
  }
}

type Certificates = Pick<NodeRecord, 'channelCertificate' | 'ikeCertificate'>;

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

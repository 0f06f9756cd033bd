import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../identity/certificates.ts';
import { verifyCsr, type VerifiedCsr } from '../identity/csr.ts';
import { IdentityError } from '../identity/identity-error.ts';
import type { MeshCa } from '../identity/mesh-ca.ts';
import type { RenewalRequest } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Attempt } from './audit-log.ts';
import { lifeInDays, type CertificatePolicy } from './certificate-policy.ts';
import { NODE_REVOKED, RenewalRefused } from './renewal-refused.ts';
import type { RenewalStore } from './renewal-store.ts';
import type { RevocationStore } from './revocation-store.ts';

/** New certificates for one node within an hour. It needs two in days; more is a fault of its, and each costs a signature. */
const PER_HOUR_MAX = 20;
const HOUR_MS = 3_600_000;

export interface RenewalsDeps {
  readonly ca: MeshCa;
  readonly policy: CertificatePolicy;
  readonly store: RenewalStore;
  readonly revocations: Pick<RevocationStore, 'noteIssued' | 'formerOwnerOf' | 'of'>;
  readonly clock: Clock;
}

export interface Renewal {
  readonly certificate: string;
  /** False when the node had it already and only asked again. */
  readonly isNew: boolean;
}

/** Gives nodes the certificates that follow those of their enrolment. */
export class Renewals {
  readonly #deps: RenewalsDeps;
  readonly #given = new Map<NodeName, { sinceMs: number; count: number }>();

  constructor(deps: RenewalsDeps) {
    this.#deps = deps;
  }

  /** Whether this node was given this certificate, byte for byte, and it has not expired longer ago than the grace. */
  mayRenewExpired(node: NodeName, certificate: X509Certificate): boolean {
    const { store, policy, clock } = this.#deps;
    const isOurs = store
      .certified(node, 'channel')
      .some((given) => new X509Certificate(given.certificate).raw.equals(certificate.raw));
    return isOurs && clock.nowMs() <= Date.parse(certificate.validTo) + policy.renewalGrace * 1000;
  }

  /**
   * The certificate for the key of the request's CSR: a new one, or the one that this key was given when the node asks
   * again. Throws a RenewalRefused.
   */
  async renew(node: NodeName, { purpose, csr }: RenewalRequest, attempt: Attempt): Promise<Renewal> {
    const { store, revocations, clock } = this.#deps;
    const request = await proven(csr);
    const key = request.spkiSha256;
    const known = store.certified(node, purpose).find((given) => given.key === key);
    if (known !== undefined && isFresh(known.certificate, clock.nowMs())) {
      attempt.changedNothing();
      return { certificate: known.certificate, isNew: false };
    }
    if (store.isInUse(key) || revocations.formerOwnerOf(key) !== undefined)
      throw new RenewalRefused('key-refused', 'this key has had its certificate');
    this.#count(node);
    const certificate = await this.#issue(node, purpose, request);
    attempt.commit(() => {
      // The signature took a moment, in which the node may have been revoked, or may have asked a second time.
      if (revocations.of(node) !== undefined) throw new RenewalRefused('node-revoked', NODE_REVOKED);
      if (store.isInUse(key) || !store.put(node, purpose, { key, certificate })) {
        throw new RenewalRefused('key-refused', 'another request came first');
      }
      revocations.noteIssued(node, [certificate], clock.nowMs());
    });
    return { certificate, isNew: true };
  }

  #issue(node: NodeName, purpose: RenewalRequest['purpose'], { publicKey }: VerifiedCsr): Promise<string> {
    const { ca, policy, clock } = this.#deps;
    const issuance = { node, publicKey, nowMs: clock.nowMs(), validityDays: lifeInDays(policy, purpose) };
    return purpose === 'channel' ? issueChannelCertificate(ca, issuance) : issueIkeCertificate(ca, issuance);
  }

  #count(node: NodeName): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const last = this.#given.get(node);
    const given = last === undefined || nowMs - last.sinceMs >= HOUR_MS ? { sinceMs: nowMs, count: 0 } : last;
    if (given.count >= PER_HOUR_MAX) {
      throw new RenewalRefused('too-many', `this node was given ${PER_HOUR_MAX} certificates within an hour`);
    }
    given.count += 1;
    this.#given.set(node, given);
  }
}

/** A certificate whose half is over would be renewed again at once; one of the future was made by a clock that was wrong. */
function isFresh(pem: string, nowMs: number): boolean {
  const { validFrom, validTo } = new X509Certificate(pem);
  const [fromMs, toMs] = [Date.parse(validFrom), Date.parse(validTo)];
  return fromMs <= nowMs && nowMs < (fromMs + toMs) / 2;
}

async function proven(csr: string): Promise<VerifiedCsr> {
  try {
    return await verifyCsr(csr);
  } catch (cause) {
    if (cause instanceof IdentityError) throw new RenewalRefused('csr-invalid', cause.message, { cause });
    throw cause;
  }
}

import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../identity/certificates.ts';
import { verifyCsr, type VerifiedCsr } from '../identity/csr.ts';
import { IdentityError } from '../identity/identity-error.ts';
import { authorityOf, type MeshCa } from '../identity/mesh-ca.ts';
import type { CertificatePurpose, RenewalReply, RenewalRequest } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';
import type { Attempt, AuditLog } from './audit-log.ts';
import { lifeInDays, type CertificatePolicy } from './certificate-policy.ts';
import type { ShownNode } from './channel-host.ts';
import { NODE_REVOKED, RenewalRefused } from './renewal-refused.ts';
import type { RenewalStore } from './renewal-store.ts';
import type { RevocationStore } from './revocation-store.ts';

/**
 * Certificates of one purpose that a node has renewed and that have not ended. It needs two at a time; more is a fault of its,
 * and when it is revoked each takes a place on the CRL. One that is due is given beyond that, which adds two at a time.
 */
const VALID_MAX = 10;

export interface RenewalsDeps {
  readonly ca: MeshCa;
  readonly policy: CertificatePolicy;
  readonly store: RenewalStore;
  readonly revocations: Pick<RevocationStore, 'noteIssued' | 'renewedEnds' | 'formerOwnerOf' | 'of'>;
  readonly audit: Pick<AuditLog, 'begin'>;
  readonly clock: Clock;
  /** Tells the operator. */
  readonly note: (node: NodeName, message: string) => void;
}

interface Renewal {
  readonly certificate: string;
  /** False when the node had it already and only asked again. */
  readonly isNew: boolean;
}

/** Gives nodes the certificates that follow those of their enrolment. */
export class Renewals {
  readonly #deps: RenewalsDeps;

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
  async renew({ node, key, remote }: ShownNode, request: RenewalRequest): Promise<RenewalReply> {
    const { ca, store, audit, note } = this.#deps;
    const attempt = audit.begin('certificate.renew', { actor: { kind: 'node', name: node }, remote });
    attempt.about(node, { purpose: request.purpose });
    try {
      // Not forgiven if it cannot be written: the next one is put into its place, and the node has no other any more.
      store.used(node, key);
      const { certificate, isNew } = await this.#give(node, request, attempt);
      if (isNew) note(node, `${request.purpose} certificate renewed`);
      return { certificate, ...authorityOf(ca) };
    } catch (error) {
      if (error instanceof RenewalRefused) attempt.refused(error.message);
      else attempt.failed(error);
      throw error;
    }
  }

  async #give(node: NodeName, { purpose, csr }: RenewalRequest, attempt: Attempt): Promise<Renewal> {
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
    this.#checkRoom(node, purpose);
    const certificate = await this.#issue(node, purpose, request);
    attempt.commit(() => {
      // The signature took a moment, in which the node may have been revoked, or may have asked a second time.
      if (revocations.of(node) !== undefined) throw new RenewalRefused('node-revoked', NODE_REVOKED);
      this.#checkRoom(node, purpose);
      if (store.isInUse(key) || !store.put(node, purpose, { key, certificate })) {
        throw new RenewalRefused('key-refused', 'another request came first');
      }
      revocations.noteIssued(node, [certificate], clock.nowMs(), purpose);
    });
    return { certificate, isNew: true };
  }

  #issue(node: NodeName, purpose: CertificatePurpose, { publicKey }: VerifiedCsr): Promise<string> {
    const { ca, policy, clock } = this.#deps;
    const issuance = { node, publicKey, nowMs: clock.nowMs(), validityDays: lifeInDays(policy, purpose) };
    return purpose === 'channel' ? issueChannelCertificate(ca, issuance) : issueIkeCertificate(ca, issuance);
  }

  /**
   * Refuses a node that has all the certificates that it may have, until the first of them ends or half of its newest one's
   * life is over. That one may be the first to end, or end before there is room: the others may be of a longer life.
   */
  #checkRoom(node: NodeName, purpose: CertificatePurpose): void {
    const { store, revocations, clock } = this.#deps;
    const nowMs = clock.nowMs();
    const roomAtMs = revocations.renewedEnds(node, purpose, nowMs, VALID_MAX)[VALID_MAX - 1];
    const newest = store.certified(node, purpose).at(-1)?.certificate;
    if (roomAtMs === undefined || newest === undefined || !isFresh(newest, nowMs)) return;
    const nextAtMs = Math.min(roomAtMs, halfOf(newest));
    const when = new Date(nextAtMs).toISOString();
    throw new RenewalRefused(
      'too-many',
      `this node has ${VALID_MAX} ${NAMES[purpose]} certificates that have not expired, or more: it gets the next one after ${when}`,
      { retryAfterSeconds: Math.ceil((nextAtMs - nowMs) / 1000) },
    );
  }
}

const NAMES: Readonly<Record<CertificatePurpose, string>> = { channel: 'channel', ike: 'IKE' };

/** A certificate whose half is over would be renewed again at once; one of the future was made by a clock that was wrong. */
function isFresh(pem: string, nowMs: number): boolean {
  return Date.parse(new X509Certificate(pem).validFrom) <= nowMs && nowMs < halfOf(pem);
}

/** When half of a certificate's life is over: ms since the epoch. */
function halfOf(pem: string): number {
  const { validFrom, validTo } = new X509Certificate(pem);
  return (Date.parse(validFrom) + Date.parse(validTo)) / 2;
}

async function proven(csr: string): Promise<VerifiedCsr> {
  try {
    return await verifyCsr(csr);
  } catch (cause) {
    if (cause instanceof IdentityError) throw new RenewalRefused('csr-invalid', cause.message, { cause });
    throw cause;
  }
}

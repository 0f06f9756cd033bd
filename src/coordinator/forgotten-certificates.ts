import { X509Certificate } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { IKE_USAGE } from '../identity/certificates.ts';
import type { MeshCa } from '../identity/mesh-ca.ts';
import { mediationIdentity } from '../identity/names.ts';
import type { CertificatePurpose } from '../identity/renewal.ts';
import { CLOCK_SKEW_MS } from '../identity/sign.ts';
import { spkiSha256 } from '../identity/spki.ts';
import { nodeNameSchema, type NodeName } from '../ike/connection.ts';
import type { Logger } from '../log.ts';
import type { AuditLog } from './audit-log.ts';
import type { ShownNode } from './channel-host.ts';
import type { Store } from './store.ts';

/** Certificates tell whole seconds, and one may have been signed just before the backup and written just after. */
const MOMENT_MS = 60_000;

export interface ForgottenCertificatesDeps {
  readonly ca: MeshCa;
  readonly store: Pick<Store, 'admission' | 'renewals' | 'restores'>;
  readonly audit: AuditLog;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  /** Makes it an event. */
  readonly note: (node: NodeName, message: string) => void;
}

/** A certificate whose key the store has never heard of, and the node that the CA has given it to. */
interface Forgotten {
  readonly node: NodeName;
  readonly key: string;
  /** PEM. */
  readonly certificate: string;
  readonly issuedAtMs: number;
}

/**
 * Certificates that nodes were given after the backup was made that the coordinator was restored from. The mesh's CA has
 * signed them, so it is certain whose they are and when they were issued, and the store learns of them when it sees them.
 */
export class ForgottenCertificates {
  readonly #deps: ForgottenCertificatesDeps;

  constructor(deps: ForgottenCertificatesDeps) {
    this.#deps = deps;
  }

  /**
   * Takes over a channel certificate, which TLS has found to be valid now and a client's, as the node's next one. It must
   * be of a time that the store has lost, of a node that the store has and that is not revoked; and newer than all that
   * this node has, or what was replaced would come back. Undefined when it is none of these; then nothing has changed.
   */
  adoptChannel(shown: X509Certificate, remote: string): NodeName | undefined {
    const { store } = this.#deps;
    if (store.restores.gaps().length === 0) return undefined;
    const forgotten = this.#forgotten(shown);
    if (forgotten === undefined || !this.#isOfGap(forgotten) || !this.#isNewest(forgotten, 'channel')) return undefined;
    const { node } = forgotten;
    const isTaken = this.#record(forgotten, 'channel', remote, () => store.renewals.put(node, 'channel', forgotten));
    return isTaken ? node : undefined;
  }

  /**
   * Notes the IKE certificate (PEM) that a node says it has, so that it is revoked with the node. Whatever is no certificate
   * that this node was given, or is known already, is ignored.
   */
  noteIke({ node, remote }: ShownNode, pem: string): void {
    const { renewals } = this.#deps.store;
    const shown = readCertificate(pem);
    // `keyUsage` is Node's name for the extended one.
    if (shown?.keyUsage?.includes(IKE_USAGE) !== true) return;
    const forgotten = this.#forgotten(shown);
    if (forgotten?.node !== node) return;
    const isNext = this.#isNewest(forgotten, 'ike');
    this.#record(forgotten, 'ike', remote, () => isNext && renewals.put(node, 'ike', forgotten));
  }

  /** The certificate counts if this very CA has issued it, for a key that was never certified, to a node that may be here. */
  #forgotten(shown: X509Certificate): Forgotten | undefined {
    const { ca, store } = this.#deps;
    const { admission, renewals } = store;
    const issuer = new X509Certificate(ca.certificatePem);
    if (!shown.checkIssued(issuer) || !shown.verify(issuer.publicKey)) return undefined;
    const key = spkiSha256(shown.publicKey);
    const node = this.#subjectOf(shown);
    if (node === undefined || renewals.isInUse(key) || admission.revocations.wasCertified(key)) return undefined;
    if (admission.node(node) === undefined || admission.revocations.of(node) !== undefined) return undefined;
    const certificate = shown.toString();
    return { node, key, certificate, issuedAtMs: issuedAt(certificate) };
  }

  #subjectOf({ subject }: X509Certificate): NodeName | undefined {
    const parts = subject.split('\n');
    const name = nodeNameSchema.safeParse(parts.at(-1)?.replace(/^CN=/, ''));
    if (!name.success || parts.join(', ') !== mediationIdentity(this.#deps.ca.subject, name.data)) return undefined;
    return name.data;
  }

  #isOfGap({ issuedAtMs }: Forgotten): boolean {
    return this.#deps.store.restores
      .gaps()
      .some(
        ({ backupMadeAtMs, restoredAtMs }) => backupMadeAtMs - MOMENT_MS <= issuedAtMs && issuedAtMs <= restoredAtMs,
      );
  }

  #isNewest({ node, issuedAtMs }: Forgotten, purpose: CertificatePurpose): boolean {
    const known = this.#deps.store.renewals.certified(node, purpose);
    return known.every(({ certificate }) => issuedAt(certificate) < issuedAtMs);
  }

  /** False when it cannot be written: the node comes again, and with it the certificate. */
  #record(forgotten: Forgotten, purpose: CertificatePurpose, remote: string, put: () => void): boolean {
    const { store, audit, clock, logger, note } = this.#deps;
    const { node, certificate } = forgotten;
    const attempt = audit.begin('certificate.adopt', { actor: { kind: 'node', name: node }, remote });
    attempt.about(node, { purpose });
    try {
      attempt.commit(() => {
        put();
        store.admission.revocations.noteIssued(node, [certificate], clock.nowMs(), purpose);
      });
    } catch (error) {
      attempt.failed(error);
      logger.error({ node, purpose, err: error }, 'certificate of before the restore not taken over');
      return false;
    }
    note(node, `${purpose} certificate of before the restore taken over`);
    return true;
  }
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

/** By the clock of the coordinator that signed it. */
function issuedAt(pem: string): number {
  return Date.parse(new X509Certificate(pem).validFrom) + CLOCK_SKEW_MS;
}

import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { NodeReport } from '../control/report.ts';
import { certificatesIn } from '../identity/operator-ca.ts';
import type { LocalState } from '../ike/steering.ts';
import type { Logger } from '../log.ts';
import type { Target } from '../reconcile/loop.ts';
import type { CertificateStatus } from './api.ts';
import { charonCredentials, requestDigest, type CharonCredentials, type CharonMaterial } from './charon-adapter.ts';
import type { HeldCertificate } from './held-certificate.ts';
import { HeldCrl } from './held-crl.ts';
import type { PlacedCertificate, PlacedIke, PlacedIkeFiles } from './placed-ike.ts';
import type { NodeIdentity, Stored } from './stored.ts';

export interface NodeCredentialsDeps {
  readonly stored: Pick<Stored, 'identity' | 'crl'>;
  /** Undefined where the operator places no certificates. */
  readonly placed: PlacedIkeFiles | undefined;
  /** A file that cannot be used. */
  readonly onUnusable: (error: Error) => void;
  readonly logger: Logger;
}

/**
 * Who this node is, and what charon is given for that: the key and certificate that it shows, which are the coordinator's
 * or the operator's, the CAs that its peers' may be of, and the list of those that were revoked. With an identity that
 * cannot be used it is as good as not enrolled: charon is left as it is.
 */
export class NodeCredentials {
  readonly crl: HeldCrl;
  readonly #deps: NodeCredentialsDeps;
  #identity: NodeIdentity | undefined;
  #shown: CharonCredentials | undefined;
  /** Why there is no identity although there should be; null when nothing is wrong. */
  #lost: string | null = null;

  /** Takes up what is on disk. */
  constructor(deps: NodeCredentialsDeps) {
    this.#deps = deps;
    this.crl = new HeldCrl(deps.stored.crl, () => this.#identity?.ca);
    this.#use(deps.stored.identity.readIfUsable((error) => this.#noteLost(error)));
    this.#restoreCrl();
  }

  /** Undefined before enrolment. */
  get identity(): NodeIdentity | undefined {
    return this.#identity;
  }

  /** The certificate that the operator places for the node to show in IKE; undefined where that is one of the mesh's CA. */
  get placedIke(): NodeReport['placedIke'] {
    return this.#deps.placed?.own;
  }

  /** Another enrolment has written this identity. */
  enrolled(identity: NodeIdentity): void {
    this.#lost = null;
    this.#use(identity);
    this.#restoreCrl();
  }

  /** Part of the identity was renewed. Throws a StateFileError when it cannot be written, and then nothing has changed. */
  save(identity: NodeIdentity): void {
    this.#deps.stored.identity.write(identity);
    this.#use(identity);
  }

  /** Takes up what the operator has placed since. To be called now and then. */
  lookAtPlaced(): void {
    if (this.#deps.placed?.look() === true) this.#use(this.#identity);
  }

  /** What charon is to have; without credentials that can be used, what has no place any more goes all the same. */
  targetOf({ desired, steering }: LocalState): Target | undefined {
    const shown = this.#shown;
    const crl = this.crl.current;
    if (this.#identity === undefined) return undefined;
    return {
      desired,
      steering,
      credentialsDigest: shown?.digest,
      ...(crl !== undefined && { crlDigest: crl.digest }),
      digestOf: (connection) => shown && requestDigest(connection, shown),
    };
  }

  /** Whether it is those of now that a round worked towards. */
  areIn(target: Target | undefined): boolean {
    return this.#shown !== undefined && target?.credentialsDigest === this.#shown.digest;
  }

  get material(): CharonMaterial {
    return { credentials: this.#shown, crl: this.crl.current?.der };
  }

  /** Of what the operator has placed. */
  get status(): readonly CertificateStatus[] {
    return this.#deps.placed?.status ?? [];
  }

  /** Why the node is not who it was, in words. */
  get identityProblem(): string | null {
    return this.#lost;
  }

  /** What is wrong with what it shows in IKE, in words. */
  get problems(): readonly string[] {
    return [...(this.#deps.placed?.problems ?? []), ...this.#missing()];
  }

  /** The certificate that the operator had placed when the node was enrolled is not named any more. */
  #missing(): readonly string[] {
    if (this.#identity === undefined || this.#identity.ike !== undefined || this.placedIke !== undefined) return [];
    return [
      'this node has no certificate for IKE, because one was placed when it was enrolled: nothing is loaded into charon, and no tunnel is set up; name one in agent.yaml again (ike.certificate), or run agentctl enroll --again',
    ];
  }

  #use(identity: NodeIdentity | undefined): void {
    this.#identity = identity;
    this.#shown = identity === undefined ? undefined : this.#shownBy(identity);
  }

  /** Undefined while nothing of what the operator is to place could be used: with less, connections would be loaded again. */
  #shownBy(identity: NodeIdentity): CharonCredentials | undefined {
    const { placed } = this.#deps;
    return placed !== undefined && placed.current === undefined ? undefined : credentialsOf(identity, placed?.current);
  }

  #noteLost(error: Error): void {
    this.#deps.onUnusable(error);
    this.#lost = `the keys and certificates of this node cannot be used: ${error.message}; enrol it again (agentctl enroll --again)`;
  }

  /**
   * From disk, where the mesh CA may be another one than before. Without it the node waits for the coordinator's next word;
   * peers are told by their desired state as well.
   */
  #restoreCrl(): void {
    try {
      this.crl.restore(this.#deps.stored.crl.readIfUsable(this.#deps.onUnusable));
    } catch (error) {
      this.#deps.logger.warn({ err: error }, 'list of revoked certificates not usable');
    }
  }
}

/** Undefined for a node that has no certificate for IKE. */
function credentialsOf(
  { ike, ca, chain = '' }: NodeIdentity,
  placed: PlacedIke | undefined,
): CharonCredentials | undefined {
  const own = placed?.own ?? (ike && ownOf(ike));
  if (own === undefined) return undefined;
  const above = certificatesIn(chain).map((pem) => new X509Certificate(pem).raw);
  return charonCredentials({
    privateKey: own.privateKey,
    own: own.certificate,
    ca: new X509Certificate(ca).raw,
    ...(placed !== undefined && { otherCa: placed.issuer }),
    chain: [...above, ...(placed?.above ?? [])],
  });
}

/** DER and PKCS#8. */
function ownOf({ key, certificate }: HeldCertificate): Pick<PlacedCertificate, 'certificate' | 'privateKey'> {
  return {
    certificate: new X509Certificate(certificate).raw,
    privateKey: createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
  };
}

import type { Clock } from '../clock.ts';
import type { CoordinatorFrame } from '../control/frames.ts';
import { CLOCK_SKEW_MS, CRL_ENTRIES_MAX, issueCrl, verifyCrl } from '../identity/crl.ts';
import { IdentityError } from '../identity/identity-error.ts';
import type { MeshCa } from '../identity/mesh-ca.ts';
import type { Logger } from '../log.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { RevocationStore, StoredCrl } from './revocation-store.ts';

const VALIDITY_MS = 7 * 86_400_000;
/** A list is replaced when so much of its life is over. */
const RENEWAL_MS = VALIDITY_MS / 2;

export interface RevocationListDeps {
  readonly ca: MeshCa;
  readonly store: Pick<RevocationStore, 'crl' | 'putCrl' | 'revokedCount' | 'revokedCertificates'>;
  readonly registry: Pick<NodeRegistry, 'sendToAll'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The mesh's CRL: made when the first certificate is revoked, and anew with each further one and before it expires. Its
 * numbers go on from the time of day, so that a coordinator that was restored from a backup does not use one again.
 */
export class RevocationList {
  readonly #deps: RevocationListDeps;
  #current: StoredCrl | undefined;

  constructor(deps: RevocationListDeps) {
    this.#deps = deps;
    this.#current = deps.store.crl();
    if (this.#current !== undefined && !isOf(deps.ca, this.#current)) this.#current = undefined;
  }

  /** Undefined as long as no certificate was ever revoked. */
  get frame(): CoordinatorFrame | undefined {
    return this.#current && { type: 'crl', der: this.#current.der };
  }

  /** Makes a new list if there is reason to, and sends it. One that cannot be written is tried again with the next call. */
  keepUp(): void {
    const { registry, logger } = this.#deps;
    try {
      if (!this.renew()) return;
    } catch (error) {
      // The desired states keep the others away from a revoked node without it.
      logger.error({ err: error }, 'CRL could not be issued');
      return;
    }
    if (this.frame !== undefined) registry.sendToAll(this.frame);
  }

  /** Makes a new list if there is reason to. True when there is a new one, on disk. */
  renew(): boolean {
    const { ca, store, clock, logger } = this.#deps;
    const nowMs = clock.nowMs();
    const revokedCount = store.revokedCount();
    if (revokedCount === 0 || (this.#current?.revokedCount === revokedCount && isFresh(this.#current, nowMs))) {
      return false;
    }
    const entries = store.revokedCertificates(nowMs, CRL_ENTRIES_MAX + 1);
    if (entries.length > CRL_ENTRIES_MAX) {
      logger.error({ limit: CRL_ENTRIES_MAX }, 'more revoked certificates than the CRL has room for');
    }
    const number = Math.max((store.crl()?.number ?? 0) + 1, Math.floor(nowMs / 1000));
    const content = { number, nowMs, nextUpdateMs: nowMs + VALIDITY_MS, entries: entries.slice(0, CRL_ENTRIES_MAX) };
    const der = Buffer.from(issueCrl(ca, content)).toString('base64');
    const issued = { number, issuedAtMs: nowMs, revokedCount, der };
    store.putCrl(issued);
    this.#current = issued;
    return true;
  }
}

/** One of the future, made by a clock that was ahead, is not valid yet for anybody whose clock is right. */
function isFresh({ issuedAtMs }: StoredCrl, nowMs: number): boolean {
  return issuedAtMs <= nowMs + CLOCK_SKEW_MS && nowMs - issuedAtMs < RENEWAL_MS;
}

/** The operator may have given the mesh another CA. */
function isOf(ca: MeshCa, { der }: StoredCrl): boolean {
  try {
    verifyCrl(Buffer.from(der, 'base64'), ca.certificatePem);
    return true;
  } catch (error) {
    if (error instanceof IdentityError) return false;
    throw error;
  }
}

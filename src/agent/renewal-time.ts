import { createHash, X509Certificate } from 'node:crypto';
import { CLOCK_SKEW_MS } from '../identity/sign.ts';

/** Shares of a certificate's life after which it is renewed: half, give or take a tenth. */
const EARLIEST = 0.4;
const LATEST = 0.6;
/** However short a life is (at the end of the CA's it becomes ever shorter), renewals are no nearer to each other. */
export const RENEWAL_GAP_MS = 3_600_000;

/** When a certificate is good, in ms since the epoch. */
export interface Validity {
  readonly fromMs: number;
  readonly toMs: number;
}

export function validityOf(certificatePem: string): Validity {
  const { validFrom, validTo } = new X509Certificate(certificatePem);
  return { fromMs: Date.parse(validFrom), toMs: Date.parse(validTo) };
}

/**
 * When a certificate is to be renewed, in ms since the epoch. `jitter`, from 0 to 1, keeps nodes that were enrolled
 * together from renewing together.
 */
export function renewalTimeMs({ fromMs, toMs }: Validity, jitter: number): number {
  const issuedMs = Math.min(fromMs + CLOCK_SKEW_MS, toMs);
  const share = EARLIEST + (LATEST - EARLIEST) * jitter;
  return Math.round(Math.max(issuedMs + (toMs - issuedMs) * share, issuedMs + RENEWAL_GAP_MS));
}

/** A certificate's own jitter, the same for good: an agent that is restarted over and over must not draw until it wins. */
export function jitterOf(certificatePem: string): number {
  const hash = createHash('sha256').update(new X509Certificate(certificatePem).raw).digest();
  return hash.readUInt32BE(0) / 2 ** 32;
}

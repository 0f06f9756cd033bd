import { z } from 'zod';
import { parseDurationSeconds } from '../duration.ts';
import { CHANNEL_DAYS_DEFAULT, IKE_DAYS_DEFAULT } from '../identity/certificates.ts';
import type { CertificatePurpose } from '../identity/renewal.ts';

const DAY_S = 86_400;
/** A node renews at half of the life, and no sooner than an hour after the last time. */
const LIFE_MIN_S = 2 * 3600;
const CHANNEL_LIFE_MAX_S = 90 * DAY_S;
const IKE_LIFE_MAX_S = 398 * DAY_S;
const GRACE_MAX_S = 365 * DAY_S;

/** How long nodes' certificates are good for; `certificates` in coordinator.yaml. All in seconds once read. */
export const certificatePolicySchema = z.strictObject({
  /** Life of the certificate that a node opens its control channel with. */
  channel: duration({ min: LIFE_MIN_S, max: CHANNEL_LIFE_MAX_S }, 'from 2h to 90d').default(
    CHANNEL_DAYS_DEFAULT * DAY_S,
  ),
  /** Life of the certificate that a node shows in IKE. */
  ike: duration({ min: LIFE_MIN_S, max: IKE_LIFE_MAX_S }, 'from 2h to 398d').default(IKE_DAYS_DEFAULT * DAY_S),
  /** So long after the end of its channel certificate a node may still renew it, and need not be enrolled again. */
  renewalGrace: duration({ min: 0, max: GRACE_MAX_S }, 'from 0 to 365d').default(30 * DAY_S),
});
export type CertificatePolicy = Readonly<z.output<typeof certificatePolicySchema>>;

/** Days that a new certificate is good for. */
export function lifeInDays(policy: CertificatePolicy, purpose: CertificatePurpose): number {
  return policy[purpose] / DAY_S;
}

function duration(
  { min, max }: { readonly min: number; readonly max: number },
  range: string,
): z.ZodType<number, string | number> {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    const seconds = parseDurationSeconds(String(value));
    if (seconds !== undefined && seconds >= min && seconds <= max) return seconds;
    context.addIssue({ code: 'custom', message: `not a duration such as 12h or 7d, ${range}: ${value}` });
    return z.NEVER;
  });
}

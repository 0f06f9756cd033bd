import { randomBytes } from 'node:crypto';
import { z } from 'zod';

/**
 * One history of generations: `1764180000-9f86d081884c7d65`. The number orders epochs; the random part tells apart two
 * coordinators that took the same number, of which a node believes the one that it met first.
 */
export const epochSchema = z
  .string()
  .regex(/^[1-9]\d{0,13}-[0-9a-f]{16}$/)
  .brand<'Epoch'>();
export type Epoch = z.output<typeof epochSchema>;

/**
 * An epoch above `former`, and above any that was made before now: the number is the time in seconds where that is
 * more, so that a second restore of the same backup does not come out at the number of the first.
 */
export function nextEpoch(former: Epoch | undefined, nowMs: number): Epoch {
  const number = Math.max(former === undefined ? 1 : epochNumber(former) + 1, Math.floor(nowMs / 1000));
  return epochSchema.parse(`${number}-${randomBytes(8).toString('hex')}`);
}

export function epochNumber(epoch: Epoch): number {
  return Number(epoch.slice(0, epoch.indexOf('-')));
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jitterOf, RENEWAL_GAP_MS, renewalTimeMs, validityOf } from '../../src/agent/renewal-time.ts';
import { issueChannelCertificate } from '../../src/identity/certificates.ts';
import { meshCa, somePublicKey } from '../identity/mesh.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What is good for so long from an issue at 0, which its beginning is an hour before. */
const lasting = (ms: number): { readonly fromMs: number; readonly toMs: number } => ({ fromMs: -HOUR_MS, toMs: ms });

const lives = fc.integer({ min: 3 * HOUR_MS, max: 400 * DAY_MS });
const jitters = fc.double({ min: 0, max: 1, noNaN: true });

describe('the time of a renewal', () => {
  it.each([
    [7 * DAY_MS, 0, 2.8 * DAY_MS],
    [7 * DAY_MS, 0.5, 3.5 * DAY_MS],
    [30 * DAY_MS, 1, 18 * DAY_MS],
  ])('of a life of %i ms and a jitter of %d is %i ms after the issue', (lifeMs, jitter, afterMs) =>
    expect(renewalTimeMs(lasting(lifeMs), jitter)).toBeCloseTo(afterMs, -1),
  );

  it('is half of the life, give or take a tenth', () =>
    fc.assert(
      fc.property(lives, jitters, (lifeMs, jitter) => {
        const atMs = renewalTimeMs(lasting(lifeMs), jitter);
        expect(atMs).toBeGreaterThanOrEqual(Math.floor(0.4 * lifeMs));
        expect(atMs).toBeLessThanOrEqual(Math.ceil(0.6 * lifeMs));
      }),
    ));

  it('moves with the certificate, whatever the date', () =>
    fc.assert(
      fc.property(lives, jitters, fc.nat({ max: 2 ** 40 }), (lifeMs, jitter, shiftMs) => {
        const shifted = { fromMs: shiftMs - HOUR_MS, toMs: shiftMs + lifeMs };
        expect(renewalTimeMs(shifted, jitter)).toBe(shiftMs + renewalTimeMs(lasting(lifeMs), jitter));
      }),
    ));

  it('is never sooner than an hour after the issue: at the end of a CA lives become ever shorter', () =>
    fc.assert(
      fc.property(fc.integer({ min: -2 * DAY_MS, max: 400 * DAY_MS }), jitters, (lifeMs, jitter) => {
        expect(renewalTimeMs(lasting(lifeMs), jitter)).toBeGreaterThanOrEqual(Math.min(0, lifeMs) + RENEWAL_GAP_MS);
      }),
    ));
});

describe('the jitter of a certificate', () => {
  it('is its own for good, and spreads those that were issued at one moment', async () => {
    const ca = await meshCa();
    const publicKey = await somePublicKey();
    const issued = await Promise.all(
      Array.from({ length: 40 }, () => issueChannelCertificate(ca, { node: 'edge1', publicKey, nowMs: Date.now() })),
    );
    expect(jitterOf(issued[0]!)).toBe(jitterOf(issued[0]!));
    const times = issued.map((pem) => renewalTimeMs(validityOf(pem), jitterOf(pem))).sort((a, b) => a - b);
    // A fifth of a week is 33.6 h: were it all one moment, or one of two, this would show.
    expect(times.at(-1)! - times[0]!).toBeGreaterThan(20 * HOUR_MS);
    const fullest = Math.max(...times.map((at) => times.filter((other) => other >= at && other < at + HOUR_MS).length));
    expect(fullest).toBeLessThan(10);
  });
});

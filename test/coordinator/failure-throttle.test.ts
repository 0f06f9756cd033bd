import { beforeEach, describe, expect, it } from 'vitest';
import { FailureThrottle } from '../../src/coordinator/failure-throttle.ts';

let nowMs: number;
let throttle: FailureThrottle;

beforeEach(() => {
  nowMs = 0;
  throttle = new FailureThrottle({ monotonicMs: () => nowMs });
});

function fail(times: number, remote = '192.0.2.1'): void {
  for (let failure = 0; failure < times; failure += 1) throttle.failed(remote);
}

describe('a remote that fails', () => {
  it('five times does not wait', () => {
    fail(5);
    expect(throttle.waitMs('192.0.2.1')).toBe(0);
  });

  it.each([
    [6, 1000],
    [7, 2000],
    [11, 32_000],
    [12, 60_000],
    [10_000, 60_000],
  ])('%i times waits %i ms from its last failure', (times, waitMs) => {
    fail(times);
    expect(throttle.waitMs('192.0.2.1')).toBe(waitMs);
    nowMs += waitMs - 1;
    expect(throttle.waitMs('192.0.2.1')).toBe(1);
    nowMs += 1;
    expect(throttle.waitMs('192.0.2.1')).toBe(0);
  });

  it('does not make others wait, but its own IPv6 network', () => {
    fail(9, '2001:db8:1:2::1');
    expect(throttle.waitMs('192.0.2.1')).toBe(0);
    expect(throttle.waitMs('2001:db8:1:3::1')).toBe(0);
    expect(throttle.waitMs('2001:db8:1:2:ffff::9')).toBeGreaterThan(0);
  });

  it('is forgiven once it succeeds, and after ten minutes', () => {
    fail(9);
    throttle.succeeded('192.0.2.1');
    expect(throttle.waitMs('192.0.2.1')).toBe(0);
    fail(9);
    nowMs += 10 * 60_000 + 1;
    fail(1);
    expect(throttle.waitMs('192.0.2.1')).toBe(0);
  });

  it('is remembered as one of 4096 at most, the latest', () => {
    fail(9, 'first');
    for (let remote = 0; remote < 4095; remote += 1) fail(1, `remote-${remote}`);
    expect(throttle.waitMs('first')).toBeGreaterThan(0);
    fail(1, 'one more');
    expect(throttle.waitMs('first')).toBe(0);
  });
});

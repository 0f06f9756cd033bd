import { describe, expect, it } from 'vitest';
import { pause, systemClock } from '../src/clock.ts';

const never = new AbortController().signal;

describe('the system clock', () => {
  it('never goes back', () => {
    const before = systemClock.monotonicMs();
    expect(systemClock.monotonicMs()).toBeGreaterThanOrEqual(before);
    expect(systemClock.nowMs()).toBeGreaterThan(1_600_000_000_000);
  });
});

describe('a pause', () => {
  it('ends by itself', () => pause(1, never));

  it('ends when its signal fires, without an error', async () => {
    const stop = new AbortController();
    const paused = pause(3_600_000, stop.signal);
    stop.abort();
    await paused;
  });

  it('does not begin when its signal has fired already', () => pause(3_600_000, AbortSignal.abort()));
});

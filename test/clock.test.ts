import { describe, expect, it, vi } from 'vitest';
import { pause, startTimer, systemClock } from '../src/clock.ts';

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

describe('a timer', () => {
  it('can take longer than Node’s own', () => {
    vi.useFakeTimers();
    const dayMs = 86_400_000;
    const fired: string[] = [];
    startTimer(90 * dayMs, () => fired.push('late'));
    const stop = startTimer(80 * dayMs, () => fired.push('stopped'));
    vi.advanceTimersByTime(70 * dayMs);
    stop();
    vi.advanceTimersByTime(20 * dayMs - 1);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(['late']);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
});

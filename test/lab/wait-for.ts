import { setTimeout as sleep } from 'node:timers/promises';
import { LabError } from './run.ts';
import { patiently } from './surroundings.ts';

export interface Wait<T> {
  /** What is waited for; completes the sentence "waited for …". */
  readonly what: string;
  /** Looks once. What it throws counts as "not yet", except that a daemon died. */
  readonly observe: () => Promise<T>;
  readonly until: (seen: T) => boolean;
  readonly timeoutMs: number;
  /** Between two looks. Default 100 ms. */
  readonly intervalMs?: number;
  /** Gives up the wait with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Looks until it sees what it wants, and returns that. After the deadline LabError says what it saw last. */
export async function waitFor<T>(wait: Wait<T>): Promise<T> {
  const timeoutMs = patiently(wait.timeoutMs);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    wait.signal?.throwIfAborted();
    const look = await lookOnce(wait);
    if ('reached' in look) return look.reached;
    if (performance.now() >= deadline) {
      const seconds = (timeoutMs / 1000).toFixed(0);
      throw new LabError('not-in-time', `waited ${seconds} s for ${wait.what}; last seen: ${look.lastSeen}`);
    }
    await sleep(wait.intervalMs ?? 100);
  }
}

async function lookOnce<T>({ observe, until }: Wait<T>): Promise<{ reached: T } | { lastSeen: string }> {
  try {
    const seen = await observe();
    return until(seen) ? { reached: seen } : { lastSeen: JSON.stringify(seen) };
  } catch (error) {
    if (error instanceof LabError && error.code === 'process-died') throw error;
    return { lastSeen: String(error) };
  }
}

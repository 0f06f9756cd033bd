import { vi } from 'vitest';

/** Resolves when the check stops failing; rejects with its last failure when it does not within seconds. */
export function eventually(check: () => void): Promise<void> {
  return vi.waitFor(check, { timeout: 4000, interval: 2 });
}

import { defineConfig } from 'vitest/config';

/**
 * Three tiers: `unit` needs nothing, `charon` a real daemon, `lab` root, namespaces and a build in dist/. And `kernel`, a lab on a
 * kernel with ESP of its own, which not every machine has: `scripts/with-debian-kernel npx vitest run --project kernel`.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/charon/**', 'test/lab/**', 'test/kernel/**'],
          // Nothing waits that long; but a machine may be busy, and a thousand rounds of something take their time.
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'charon',
          include: ['test/charon/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['test/lab/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          // Labs do not see each other, and wait more than they work.
          maxWorkers: 2,
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts'],
          testTimeout: 1_800_000,
          fileParallelism: false,
        },
      },
    ],
  },
});

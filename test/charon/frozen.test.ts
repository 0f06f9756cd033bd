import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { CharonLoop } from '../../src/agent/charon-loop.ts';
import { FrozenCharon } from '../../src/agent/frozen-charon.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { restartService } from '../../src/agent/systemctl.ts';
import { systemClock } from '../../src/clock.ts';
import { createLogger } from '../../src/log.ts';
import { Reconciler } from '../../src/reconcile/loop.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { wishes } from '../reconcile/builders.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

const SERVICE = 'strongswan.service';
const ANSWER_MS = 300;

describe.runIf(canRunCharon)('a real charon that is stopped where it is', () => {
  it('is restarted through systemctl, once, and served again afterwards', async () => {
    await using charon = await CharonDaemon.start();
    const folder = temporaryFolder();
    const asked = join(folder, 'asked');
    const systemctl = join(folder, 'systemctl');
    writeFileSync(systemctl, `#!/bin/sh\necho "$@" >> ${asked}\n`);
    chmodSync(systemctl, 0o755);
    const lost: string[] = [];
    let rounds = 0;
    const logger = createLogger('test', 'silent');
    const deps = { clock: systemClock, random: () => 0 };
    const loop = new CharonLoop({
      ...deps,
      viciSocket: charon.socketPath,
      answerMs: ANSWER_MS,
      resyncMs: ANSWER_MS,
      bootMs: () => systemClock.monotonicMs(),
      logger,
      reconciler: new Reconciler({ ...deps, ledger: undefined, saveLedger: () => true }),
      target: () => undefined,
      material: () => ({ credentials: undefined, crl: undefined }),
      routes: new MemoryRoutes(),
      prepare: () => Promise.resolve(),
      gate: () => wishes(),
      frozen: new FrozenCharon({
        viciSocket: charon.socketPath,
        service: SERVICE,
        restart: (service) => restartService(service, systemctl),
        restartFile: storedIn(folder).charonRestart,
        lastRestart: undefined,
        // Every deadline that passes is as good as the agent's 10 s.
        bootMs: () => 1_000_000 + lost.length * 11_000,
        nowMs: () => Date.now(),
        logger,
        onEvent: () => undefined,
      }),
      onRound: () => (rounds += 1),
      onFound: () => undefined,
      onLost: (problem) => lost.push(problem),
      onEvent: () => undefined,
    });
    const stop = new AbortController();
    const running = loop.run(stop.signal);
    try {
      await until(() => rounds > 0);
      charon.freeze();
      await until(() => existsSync(asked));
      await until(() => lost.filter((problem) => problem.startsWith('charon was frozen')).length > 2);
      expect(readFileSync(asked, 'utf8')).toBe(`--no-ask-password --no-block restart ${SERVICE}\n`);
      const before = rounds;
      // What systemd does with a service that does not stop.
      await charon.restart();
      await until(() => rounds > before);
    } finally {
      stop.abort();
      await running;
    }
  });
});

function until(condition: () => boolean): Promise<unknown> {
  return vi.waitUntil(condition, { timeout: 40_000, interval: 10 });
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { createLogger } from '../../src/log.ts';
import { BRIEF_ATTACKS } from './attacks.ts';
import { startCoordinator } from './in-process.ts';
import { enrolNodes } from './nodes.ts';

it('a coordinator answers each hostile peer as it should be, and goes on', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'cygnet-hostile-'));
  const stop = new AbortController();
  const deps = { clock: systemClock, logger: createLogger('proof', 'silent') };
  const { port, url, ended } = await startCoordinator(folder, deps, stop.signal);
  try {
    const api = new LocalApi({ socketPath: join(folder, 'api.sock'), service: 'cygnet-coordinator' });
    const attackers = await enrolNodes({ api, url }, 'attacker', Object.keys(BRIEF_ATTACKS).length);
    const problems = await Promise.all(
      Object.entries(BRIEF_ATTACKS).map(async ([name, attack], index) => {
        const identity = attackers[index];
        return [name, identity && (await attack({ port, identity }))];
      }),
    );
    expect(problems.filter(([, problem]) => problem !== undefined)).toEqual([]);
    expect(await enrolNodes({ api, url }, 'honest', 1)).toHaveLength(1);
  } finally {
    stop.abort();
    await ended;
    rmSync(folder, { recursive: true });
  }
});

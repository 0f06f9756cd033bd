import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { desiredStateSchema } from '../../src/ike/desired-state.ts';
import { loadConnRequest } from '../../src/ike/sections.ts';
import { ViciClient, ViciError, type ViciSession } from '../../src/vici/index.ts';
import { everyKind } from '../ike/connections.ts';
import { meshCa } from '../identity/mesh.ts';
import { eventually } from '../vici/eventually.ts';
import { canRunCharon, CHARON_PLUGINS } from './charon-daemon.ts';
import { CharonPair, LEFT, RIGHT } from './charon-pair.ts';

const signal = AbortSignal.timeout(50_000);

/** Where text stands in a value, as a function that puts another text there. */
function textPlaces(value: unknown, put: (text: string) => void = () => undefined): ((text: string) => void)[] {
  if (typeof value === 'string') return [put];
  if (value === null || typeof value !== 'object') return [];
  const object = value as Record<string, unknown>;
  return Object.keys(object).flatMap((key) => textPlaces(object[key], (text) => (object[key] = text)));
}

describe.skipIf(!canRunCharon)('a charon that runs updown scripts', () => {
  let folder: string;
  let script: string;
  let ran: string;
  let pair: CharonPair;
  let left: ViciClient;
  let right: ViciClient;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'cygnet-canary-'));
    script = join(folder, 'canary');
    ran = join(folder, 'ran');
    writeFileSync(script, `#!/bin/sh\necho "$PLUTO_CONNECTION" >> ${ran}\n`, { mode: 0o755 });
    pair = await CharonPair.start({ plugins: `${CHARON_PLUGINS} updown` });
    left = new ViciClient({ socketPath: pair.left.socketPath });
    right = new ViciClient({ socketPath: pair.right.socketPath });
  });

  afterAll(async () => {
    await left[Symbol.asyncDispose]();
    await right[Symbol.asyncDispose]();
    await pair[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  /** A tunnel between the two, as far as the CHILD SA. */
  async function setUp(session: ViciSession, name: string): Promise<void> {
    await pair.loadRight(await right.session({ signal }), name);
    const lines: unknown[] = [];
    for await (const line of session.stream('initiate', { child: name, timeout: 20_000 }, { signal })) lines.push(line);
    expect(lines).not.toEqual([]);
  }

  it('runs none that a desired state brings along in any of its texts', async () => {
    const session = await left.session({ signal });
    const ca = new X509Certificate((await meshCa()).certificatePem).raw;
    const texts = [
      `updown=${script}`,
      `x\nupdown = ${script}\n`,
      `x" updown="${script}`,
      `x { updown = ${script} }`,
      script,
    ];
    let loaded = 0;
    for (const place of textPlaces(everyKind()).keys()) {
      for (const text of texts) {
        const state = structuredClone(everyKind());
        textPlaces(state)[place]?.(text);
        const checked = desiredStateSchema.safeParse(state);
        for (const connection of checked.data?.connections ?? []) {
          try {
            await session.call('load-conn', loadConnRequest(connection, ca), { signal });
            loaded += 1;
          } catch (error) {
            if (!(error instanceof ViciError) || error.code !== 'command-failed') throw error;
          }
        }
      }
    }
    expect(loaded).toBeGreaterThan(0);
    await pair.loadLeft(session, 'plain');
    await setUp(session, 'plain');
    expect(existsSync(ran)).toBe(false);
  });

  it('would run it, for all that: told so past the schema, it does', async () => {
    const session = await left.session({ signal });
    await pair.loadLeft(session, 'canary');
    await session.call('load-conn', {
      canary: {
        version: 2,
        local_addrs: [LEFT.address],
        remote_addrs: [RIGHT.address],
        local: { auth: 'psk', id: LEFT.id },
        remote: { auth: 'psk', id: RIGHT.id },
        children: { canary: { local_ts: [LEFT.subnet], remote_ts: [RIGHT.subnet], updown: script } },
      },
    });
    await setUp(session, 'canary');
    await eventually(() => expect(existsSync(ran)).toBe(true));
  });
});

import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { apiTokenReplySchema, nodesReplySchema, tokenReplySchema } from '../../src/coordinator/api.ts';
import { certificatePolicySchema } from '../../src/coordinator/certificate-policy.ts';
import type { CoordinatorConfig } from '../../src/coordinator/config.ts';
import { runCoordinator, type Listening } from '../../src/coordinator/run.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { enroll } from '../../src/identity/enroll.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { createLogger } from '../../src/log.ts';

let folder: string;
let config: CoordinatorConfig;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-run-'));
  config = {
    mesh: 'seed',
    subject: 'C=CN, O=Local Cluster',
    listen: { host: '127.0.0.1', port: 0 },
    advertise: ['127.0.0.1'],
    stateDir: join(folder, 'state'),
    apiSocket: join(folder, 'api.sock'),
    logLevel: 'silent',
    certificates: certificatePolicySchema.parse({}),
  };
});

afterEach(() => rmSync(folder, { recursive: true }));

/** Runs a coordinator for as long as `use` takes. */
async function whileRunning<T>(use: (port: number, apiPort: number | null) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const ready: { resolve?: (listening: Listening) => void } = {};
  const listening = new Promise<Listening>((resolve) => (ready.resolve = resolve));
  const deps = { clock: systemClock, logger: createLogger('test', 'silent'), version: '1.2.3' };
  const onReady = (found: Listening): void => ready.resolve?.(found);
  const running = runCoordinator(config, { ...deps, onReady }, stop.signal);
  try {
    const { port, apiPort } = await Promise.race([listening, running.then(() => expect.fail('it ended'))]);
    return await use(port, apiPort);
  } finally {
    stop.abort();
    await running;
  }
}

describe('a coordinator', () => {
  it('lets a node enrol with a token of the operator, and knows it after a restart', async () => {
    const api = new LocalApi({ socketPath: config.apiSocket, service: 'cygnet-coordinator' });
    const reply = await whileRunning(async (port) => {
      const body = { contentType: 'application/json', text: '{"node":"edge1","ttlSeconds":60}' };
      const { token } = await api.send('POST', '/v1/tokens', tokenReplySchema, body);
      const csr = async (): Promise<string> => createCsr(await generatePrivateKey('ecdsa-p256'));
      const coordinatorUrl = `https://127.0.0.1:${port}`;
      const { signal } = new AbortController();
      return enroll({ coordinatorUrl, token, channelCsr: await csr(), ikeCsr: await csr(), nowMs: Date.now(), signal });
    });
    expect(reply).toMatchObject({ node: 'edge1', mesh: 'seed' });
    const { nodes } = await whileRunning(() => api.get('/v1/nodes', nodesReplySchema));
    expect(nodes).toMatchObject([{ name: 'edge1', state: 'not-in-spec' }]);
  });

  it('answers the holder of an API token on a port of its own, where it is told to', async () => {
    config = { ...config, api: { listen: { host: '127.0.0.1', port: 0 } } };
    const api = new LocalApi({ socketPath: config.apiSocket, service: 'cygnet-coordinator' });
    const { nodes } = await whileRunning(async (_port, apiPort) => {
      const body = { contentType: 'application/json', text: '{"name":"ci","role":"viewer","ttlSeconds":60}' };
      const { token } = await api.send('POST', '/v1/api-tokens', apiTokenReplySchema, body);
      const remote = { host: '127.0.0.1', port: apiPort ?? 0, token };
      return new LocalApi({ remote, service: 'cygnet-coordinator' }).get('/v1/nodes', nodesReplySchema);
    });
    expect(nodes).toEqual([]);
  });

  it('keeps its state to itself and leaves no socket behind', async () => {
    await whileRunning(() => Promise.resolve());
    expect(statSync(config.stateDir).mode & 0o777).toBe(0o700);
    expect(existsSync(config.apiSocket)).toBe(false);
  });

  it('does not begin, and makes no CA, when the one that its nodes know is gone', async () => {
    await whileRunning(() => Promise.resolve());
    for (const name of ['ca.key', 'ca.crt']) rmSync(join(config.stateDir, name));
    await expect(whileRunning(() => Promise.resolve())).rejects.toThrow(/nodes of this mesh know is missing/);
    expect(existsSync(join(config.stateDir, 'ca.key'))).toBe(false);
  });

  it('does not begin when another one has its state', async () => {
    await whileRunning(async () => {
      const other = { ...config, apiSocket: join(folder, 'other.sock') };
      const deps = {
        clock: systemClock,
        logger: createLogger('test', 'silent'),
        version: '1.2.3',
        onReady: () => undefined,
      };
      const { signal } = new AbortController();
      await expect(runCoordinator(other, deps, signal)).rejects.toThrow(/another coordinator uses it/);
    });
  });
});

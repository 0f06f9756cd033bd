import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { AgentStatus, LinkReport, ReconnectResult } from '../../src/agent/api.ts';
import { LocalRefusal, serveLocalApi } from '../../src/agent/local-server.ts';
import { agentctl } from '../../src/cli/agentctl.ts';
import { createLogger } from '../../src/log.ts';
import { fullStatus } from '../agent/full-status.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { FakeTerminal } from './fake-terminal.ts';

const time = vi.hoisted(() => ({ ms: 0 }));
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number) => {
    time.ms += ms;
    return Promise.resolve();
  },
}));

let terminal: FakeTerminal;
beforeEach(() => {
  terminal = new FakeTerminal();
  time.ms = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => time.ms);
  onTestFinished(() => clock.mockRestore());
});

const GIVEN_UP_AT_MS = 1_700_000_000_000;
const given: ReconnectResult = {
  peer: 'remote',
  givenUpAtMs: GIVEN_UP_AT_MS,
  directSinceMs: GIVEN_UP_AT_MS - 60_000,
};
const [relayed] = fullStatus().links as [LinkReport];
const stillDirect: LinkReport = {
  ...relayed,
  path: 'direct',
  sinceMs: given.directSinceMs,
  cause: null,
  problem: null,
};
const directAgain: LinkReport = { ...stillDirect, sinceMs: GIVEN_UP_AT_MS + 2340 };

/** Runs agentctl against an agent that shows these links, one at each look, and the last one from then on. */
async function run(
  looks: readonly (LinkReport | undefined)[],
  args: readonly string[],
  reconnect: () => Promise<ReconnectResult> = () => Promise.resolve(given),
): Promise<number> {
  const socket = join(temporaryFolder(), 'agent.sock');
  const left = [...looks];
  const status = (): Promise<AgentStatus> => {
    const link = left.length > 1 ? left.shift() : left[0];
    return Promise.resolve({ ...fullStatus(), links: link === undefined ? [] : [link] });
  };
  const unexpected = (): Promise<never> => Promise.reject(new Error('not expected'));
  const handlers = {
    status,
    keptEvents: () => [],
    followEvents: async function* () {},
    enroll: unexpected,
    netCheck: unexpected,
    renew: unexpected,
    ping: unexpected,
    reconnect,
  };
  const agent = await serveLocalApi(socket, handlers, createLogger('test', 'silent'));
  onTestFinished(() => agent[Symbol.asyncDispose]());
  return await agentctl(['--socket', socket, 'reconnect', ...args], terminal);
}

describe('agentctl reconnect', () => {
  it('waits for a new direct path, and says how long the link was without one', async () => {
    expect(await run([stillDirect, relayed, directAgain], ['remote'])).toBe(0);
    expect(terminal.stdout).toBe('remote: direct again after 2.3 s\n');
    expect(terminal.stderr).toMatch(/^the direct tunnel is given up; waiting up to 60 s for a new one \.*\n$/);
    expect(time.ms).toBe(1000);
  });

  it('fails when the link is not direct in time, with its cause', async () => {
    expect(await run([relayed], ['remote', '--wait', '3'])).toBe(1);
    expect(terminal.stdout).toBe('');
    expect(terminal.stderr).toContain(
      'remote is not direct again after 3 s: traffic goes through the hub: a symmetric',
    );
    expect(time.ms).toBe(3000);
  });

  it.each<[string, LinkReport | undefined, string]>([
    ['the agent has not ended the old tunnel', stillDirect, 'its old tunnel is still up'],
    ['the link is gone', undefined, 'this node has no link to it any more'],
  ])('says so when %s', async (_what, link, why) => {
    expect(await run([link], ['remote', '--wait=1'])).toBe(1);
    expect(terminal.stderr).toContain(`remote is not direct again after 1 s: ${why}`);
  });

  it('--wait 0 returns at once', async () => {
    expect(await run([], ['remote', '--wait', '0'])).toBe(0);
    expect([terminal.stdout, terminal.stderr]).toEqual(['remote: the direct tunnel is given up\n', '']);
  });

  const told = { peer: 'remote', givenUpAtMs: GIVEN_UP_AT_MS };
  it.each<[string, readonly LinkReport[], readonly string[], number, object]>([
    ['that is direct again', [directAgain], [], 0, { directAfterMs: 2340, path: 'direct', cause: null }],
    ['that is not', [relayed], ['--wait=1'], 1, { directAfterMs: null, path: 'relay', cause: 'symmetric-nat' }],
    ['that is not waited for', [], ['--wait=0'], 0, { directAfterMs: null, path: null, cause: null }],
  ])('--json is one object of a link %s', async (_what, looks, args, code, outcome) => {
    expect(await run(looks, ['--json', ...args, 'remote'])).toBe(code);
    expect(JSON.parse(terminal.stdout)).toEqual({ ...told, ...outcome });
    expect(terminal.stderr === '').toBe(code === 0);
  });

  it('passes the agent’s refusal on', async () => {
    const refusal = new LocalRefusal(409, 'no-relay', 'there is no relay');
    expect(await run([], ['remote'], () => Promise.reject(refusal))).toBe(1);
    expect(terminal.stderr).toContain('there is no relay');
  });

  it.each(['-1', '1.5', '3601', '99999', 'x', ''])('refuses a wait of "%s"', async (wait) => {
    expect(await run([], ['remote', `--wait=${wait}`])).toBe(2);
    expect(terminal.stderr).toContain('0 to 3600');
  });
});

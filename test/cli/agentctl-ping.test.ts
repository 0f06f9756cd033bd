import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { pingResultSchema, type PingResult } from '../../src/agent/api.ts';
import { LocalRefusal, serveLocalApi } from '../../src/agent/local-server.ts';
import { agentctl } from '../../src/cli/agentctl.ts';
import { createLogger } from '../../src/log.ts';
import { fullStatus } from '../agent/full-status.ts';
import { coneCheck } from '../agent/netcheck/checks.ts';
import { pingResult } from '../agent/ping-result.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { FakeTerminal } from './fake-terminal.ts';

vi.mock('node:timers/promises', () => ({ setTimeout: () => Promise.resolve() }));

let terminal: FakeTerminal;
beforeEach(() => {
  terminal = new FakeTerminal();
});

/** Runs agentctl against an agent whose pings come back like this, one after the other. */
async function run(answers: readonly (PingResult | Error)[], ...args: readonly string[]): Promise<number> {
  const socket = join(temporaryFolder(), 'agent.sock');
  const left = [...answers];
  const handlers = {
    status: () => Promise.resolve(fullStatus()),
    keptEvents: () => [],
    followEvents: async function* () {},
    enroll: () => Promise.reject(new Error('not expected')),
    netCheck: () => Promise.resolve(coneCheck()),
    renew: () => Promise.resolve({ certificates: [] }),
    reconnect: () => Promise.reject(new Error('not expected')),
    ping: () => {
      const next = left.shift() ?? new Error('one too many');
      return next instanceof Error ? Promise.reject(next) : Promise.resolve(next);
    },
  };
  const agent = await serveLocalApi(socket, handlers, createLogger('test', 'silent'));
  onTestFinished(() => agent[Symbol.asyncDispose]());
  return await agentctl(['--socket', socket, ...args], terminal);
}

const answered = (rttMs: number): PingResult => ({ ...pingResult(), direct: { outcome: 'answered', rttMs } });
const lost: PingResult = { peer: 'remote', direct: { outcome: 'lost' }, relay: { outcome: 'not-up' } };

describe('agentctl ping', () => {
  it('tells each answer, and compares the paths at the end', async () => {
    const relayed: PingResult = { ...answered(30), relay: { outcome: 'refused' } };
    expect(await run([answered(10), lost, relayed], 'ping', '-c', '3', 'remote')).toBe(0);
    expect(terminal.stdout).toBe(`\
remote 1: direct 10.0 ms, relay not up
remote 2: direct no answer, relay not up
remote 3: direct 30.0 ms, relay works (the agent there does not run)
direct: 3 sent, 2 came back, 33 % lost; round trip min/mean/max 10.0/20.0/30.0 ms
relay: 1 sent, 1 came back, 0 % lost
`);
  });

  it('sends four by default; --json is one object each', async () => {
    expect(await run([1, 2, 3, 4].map(answered), 'ping', '--json', 'remote')).toBe(0);
    const lines = terminal.stdout.trimEnd().split('\n');
    expect(lines.map((line) => pingResultSchema.parse(JSON.parse(line)))).toEqual([1, 2, 3, 4].map(answered));
    expect(lines.map((line) => (JSON.parse(line) as { sequence: number }).sequence)).toEqual([1, 2, 3, 4]);
  });

  it('fails when nothing came back at all, and says where to look', async () => {
    expect(await run([lost, lost], 'ping', '-c', '2', 'remote')).toBe(1);
    expect(terminal.stdout).toContain('direct: 2 sent, 0 came back, 100 % lost\nrelay: not up\n');
    expect(terminal.stderr).toContain('agentctl paths remote');
  });

  it('passes the agent’s refusal on', async () => {
    const refusal = new LocalRefusal(404, 'no-such-link', 'no link to remote');
    expect(await run([refusal], 'ping', 'remote')).toBe(1);
    expect(terminal.stderr).toContain('no link to remote');
  });

  it.each(['0', '-1', '1.5', '10001', 'x'])('refuses a count of %s', async (count) => {
    expect(await run([], 'ping', `--count=${count}`, 'remote')).not.toBe(0);
    expect(terminal.stdout).toBe('');
  });
});

describe('agentctl paths', () => {
  it('shows both paths of each link, the cause and what to do', async () => {
    expect(await run([], 'paths')).toBe(0);
    expect(terminal.stdout).toContain('LINK TO  PATH   FOR   DIRECT  RELAY              CAUSE\n');
    expect(terminal.stdout).toContain('remote   relay  30 s  -       24.0 ms, 5 % lost  symmetric-nat\n');
    expect(terminal.stdout).toMatch(/\n +traffic goes through the hub: a symmetric NAT in front of remote/);
  });

  it('--json is the links of the status, of one node if asked', async () => {
    expect(await run([], 'paths', 'remote', '--json')).toBe(0);
    const { atMs, links } = fullStatus();
    expect(JSON.parse(terminal.stdout)).toEqual({ atMs, links });
  });

  it('of a node without a link names those that have one', async () => {
    expect(await run([], 'paths', 'rmeote')).not.toBe(0);
    expect(terminal.stderr).toContain('no link to "rmeote"; its links lead to remote');
  });
});

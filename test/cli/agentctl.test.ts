import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { statusSchema } from '../../src/agent/api.ts';
import { EventLog } from '../../src/agent/event-log.ts';
import { LocalRefusal, serveLocalApi, type LocalApiHandlers } from '../../src/agent/local-server.ts';
import { agentctl } from '../../src/cli/agentctl.ts';
import { createLogger } from '../../src/log.ts';
import { packageVersion } from '../../src/version.ts';
import { fullStatus } from '../agent/full-status.ts';
import { coneCheck } from '../agent/netcheck/checks.ts';
import { numbered } from '../agent/node-events.ts';
import { eventually } from '../vici/eventually.ts';
import { FakeTerminal } from './fake-terminal.ts';
import { pingResult } from '../agent/ping-result.ts';

let folder: string;
let socket: string;
let events: EventLog;
let agent: AsyncDisposable | undefined;
let terminal: FakeTerminal;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-agentctl-'));
  socket = join(folder, 'agent.sock');
  events = new EventLog();
  terminal = new FakeTerminal();
});

afterEach(async () => {
  await agent?.[Symbol.asyncDispose]();
  agent = undefined;
  rmSync(folder, { recursive: true });
});

/** The agent's own server behind the socket. */
async function serve(change: Partial<LocalApiHandlers> = {}): Promise<void> {
  const handlers: LocalApiHandlers = {
    status: () => Promise.resolve(fullStatus()),
    keptEvents: () => events.kept(),
    followEvents: (signal) => events.follow(signal),
    enroll: () => Promise.resolve({ node: 'edge1', mesh: 'mesh.example' }),
    netCheck: () => Promise.resolve(coneCheck()),
    renew: () => Promise.resolve({ certificates: [...fullStatus().certificates] }),
    ping: () => Promise.resolve(pingResult()),
    reconnect: () => Promise.reject(new Error('not expected')),
    ...change,
  };
  agent = await serveLocalApi(socket, handlers, createLogger('test', 'silent'));
}

const run = (...args: readonly string[]): Promise<number> => agentctl(['--socket', socket, ...args], terminal);

describe('agentctl status', () => {
  it('is for people, without colour where there is no terminal', async () => {
    await serve();
    expect(await run('status')).toBe(0);
    expect(terminal.stdout).toMatch(/^node: {10}edge1 in mesh mesh\.example, agent 1\.2\.3\n/);
    expect(terminal.stdout).not.toContain('\u001B');
    expect(terminal.stderr).toBe('');
  });

  it('--json is one line, and what the published schema says', async () => {
    await serve();
    expect(await run('status', '--json')).toBe(0);
    expect(terminal.stdout.split('\n')).toHaveLength(2);
    expect(statusSchema.strict().parse(JSON.parse(terminal.stdout))).toEqual(fullStatus());
  });

  it('without an agent names the socket and the service, and fails with 1', async () => {
    expect(await run('status')).toBe(1);
    expect(terminal.stderr).toContain(socket);
    expect(terminal.stderr).toContain('systemctl status cygnet-agent');
    expect(terminal.stdout).toBe('');
  });
});

describe('agentctl events', () => {
  it('is one line each', async () => {
    await serve();
    events.add({ ...numbered(1), connection: 'cygnet-hub', child: 'a--b' });
    events.add({ ...numbered(2), message: 'bad \u001B[2J' });
    expect(await run('events')).toBe(0);
    expect(terminal.stdout).toBe(
      '1970-01-01T00:00:00.001Z  step         cygnet-hub/a--b  event 1\n' +
        '1970-01-01T00:00:00.002Z  step         bad ?[2J\n',
    );
  });

  it('--json is one object per line', async () => {
    await serve();
    events.add(numbered(1));
    expect(await run('events', '--json')).toBe(0);
    expect(terminal.stdout).toBe(`${JSON.stringify(numbered(1))}\n`);
  });

  it('--follow goes on with what is new until the agent ends', async () => {
    await serve();
    events.add(numbered(1));
    const exitCode = run('events', '--follow');
    await eventually(() => expect(terminal.stdout).toContain('event 1'));
    events.add(numbered(2));
    await eventually(() => expect(terminal.stdout).toContain('event 2'));
    await agent?.[Symbol.asyncDispose]();
    agent = undefined;
    expect(await exitCode).toBe(1);
    expect(terminal.stderr).toContain('hung up');
  });
});

describe('agentctl renew', () => {
  it('says until when the new certificates are valid', async () => {
    await serve();
    expect(await run('renew')).toBe(0);
    expect(terminal.stdout).toMatch(
      /^channel certificate renewed, valid until .*Z\nIKE certificate renewed, valid until/,
    );
  });

  it('has the same as JSON', async () => {
    await serve();
    await run('renew', '--json');
    expect(JSON.parse(terminal.stdout)).toEqual({ certificates: fullStatus().certificates });
  });

  it('says why it was not done', async () => {
    await serve({ renew: () => Promise.reject(new LocalRefusal(502, 'not-renewed', 'the channel certificate: no')) });
    expect(await run('renew')).toBe(1);
    expect(terminal.stderr).toContain('the channel certificate: no');
  });
});

describe('agentctl enroll', () => {
  const coordinator = 'https://203.0.113.1:8443';

  function tokenFile(text: string): string {
    const path = join(folder, 'token');
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  it('hands the token in the file to the agent', async () => {
    const asked: string[] = [];
    await serve({
      enroll: ({ coordinator, token, again }) => {
        asked.push(coordinator, token, String(again));
        return Promise.resolve({ node: 'edge1', mesh: 'mesh.example' });
      },
    });
    expect(await run('enroll', '--coordinator', coordinator, '--token-file', tokenFile('cyg1.a.b\n'))).toBe(0);
    expect(asked).toEqual([coordinator, 'cyg1.a.b', 'undefined']);
    expect(terminal.stdout).toBe('enrolled as edge1 in mesh mesh.example\n');
  });

  it('--again asks to replace the enrolment that is there', async () => {
    const asked: unknown[] = [];
    await serve({
      enroll: ({ again }) => {
        asked.push(again);
        return Promise.resolve({ node: 'edge1', mesh: 'mesh.example' });
      },
    });
    const token = tokenFile('cyg1.a.b');
    expect(await run('enroll', '--again', '--coordinator', coordinator, '--token-file', token)).toBe(0);
    expect(asked).toEqual([true]);
  });

  it('--json says it to programs', async () => {
    await serve();
    await run('enroll', '--coordinator', coordinator, '--token-file', tokenFile('cyg1.a.b'), '--json');
    expect(JSON.parse(terminal.stdout)).toEqual({ node: 'edge1', mesh: 'mesh.example' });
  });

  it.each([
    ['http://203.0.113.1', /--coordinator: must be https:/],
    ['203.0.113.1:8443', /--coordinator/],
    ['https://h/path', /--coordinator/],
    ['https://user@h', /--coordinator/],
    ['', /--coordinator/],
  ])('fails with 2 for the URL %j', async (url, message) => {
    expect(await run('enroll', '--coordinator', url, '--token-file', tokenFile('cyg1.a.b'))).toBe(2);
    expect(terminal.stderr).toMatch(message);
  });

  it.each([
    ['empty', ''],
    ['blank', ' \n'],
    ['two words', 'cyg1.a b'],
    ['too long', 'x'.repeat(513)],
  ])('fails with 2 for a token that is %s, and never quotes it', async (_what, text) => {
    expect(await run('enroll', '--coordinator', coordinator, '--token-file', tokenFile(text))).toBe(2);
    expect(terminal.stderr).toContain('holds no token');
    expect(terminal.stderr).not.toContain('cyg1.');
  });

  it('fails with 2 for a file that is not there, and names it', async () => {
    const missing = join(folder, 'none');
    expect(await run('enroll', '--coordinator', coordinator, '--token-file', missing)).toBe(2);
    expect(terminal.stderr).toContain(missing);
  });

  it.each([
    [400, 'bad-token', 2],
    [409, 'enrolled', 1],
    [502, 'coordinator-unreachable', 1],
  ] as const)('tells the agent’s refusal %i %s and fails with %i', async (status, code, exitCode) => {
    await serve({ enroll: () => Promise.reject(new LocalRefusal(status, code, 'not so')) });
    expect(await run('enroll', '--coordinator', coordinator, '--token-file', tokenFile('cyg1.a.b'))).toBe(exitCode);
    expect(terminal.stderr).toBe('agentctl: not so\n');
  });

  it('says so when others can read the token’s file', async () => {
    await serve();
    const path = tokenFile('cyg1.a.b');
    chmodSync(path, 0o640);
    expect(await run('enroll', '--coordinator', coordinator, '--token-file', path)).toBe(0);
    expect(terminal.stderr).toContain(`warning: ${path} can be read by others`);
    expect(terminal.stderr).not.toContain('cyg1.');
  });

  it('hands on the name that the node is to have', async () => {
    const asked: unknown[] = [];
    await serve({
      enroll: ({ name }) => {
        asked.push(name);
        return Promise.resolve({ node: 'edge1', mesh: 'mesh.example' });
      },
    });
    await run('enroll', '--coordinator', coordinator, '--token-file', tokenFile('cyg1.a.b'), '--name', 'edge1');
    expect(asked).toEqual(['edge1']);
  });

  it('needs the coordinator, and one source of the token', async () => {
    const token = tokenFile('cyg1.a.b');
    expect(await run('enroll', '--token-file', token)).toBe(2);
    expect(await run('enroll', '--coordinator', coordinator)).toBe(2);
    expect(terminal.stderr).toContain('--token-file FILE (- for standard input) or --token-credential NAME');
    const both = ['--token-file', token, '--token-credential', 'token'];
    expect(await run('enroll', '--coordinator', coordinator, ...both)).toBe(2);
  });
});

describe('agentctl', () => {
  it('tells its version', async () => {
    expect(await run('version', '--json')).toBe(0);
    expect(JSON.parse(terminal.stdout)).toEqual({ version: packageVersion() });
  });

  it.each([
    ['--help', /Usage: agentctl/],
    ['--version', /\d+\.\d+\.\d+/],
  ])('%s is no error', async (flag, text) => {
    expect(await run(flag)).toBe(0);
    expect(terminal.stdout).toMatch(text);
  });

  it.each([['reload'], ['status --verbose'], ['status extra']])('fails with 2 for %j', async (words) => {
    expect(await run(...words.split(' '))).toBe(2);
    expect(terminal.stderr).toContain('error:');
  });
});

import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Agent } from '../../src/agent/agent.ts';
import { reconnectResultSchema, renewResultSchema, statusSchema, type AgentStatus } from '../../src/agent/api.ts';
import type { AgentConfig } from '../../src/agent/config.ts';
import { storedIn } from '../../src/agent/stored.ts';
import { LocalApi } from '../../src/cli/local-api.ts';
import { systemClock } from '../../src/clock.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import { verifyCsr } from '../../src/identity/csr.ts';
import { caPinOf } from '../../src/identity/mesh-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { createLogger } from '../../src/log.ts';
import { EDGE1, FakeHost, openTestServer } from '../coordinator/channel-fixture.ts';
import { meshCa } from '../identity/mesh.ts';
import { eventually } from '../vici/eventually.ts';
import { certify } from './certify.ts';
import { temporaryFolder } from './temporary-folder.ts';

let folder: string;
let config: AgentConfig;

beforeEach(() => {
  folder = temporaryFolder();
  config = {
    viciSocket: join(folder, 'charon.vici'),
    stateDir: join(folder, 'state'),
    socket: join(folder, 'agent.sock'),
    logLevel: 'silent',
    keyType: 'ecdsa-p256',
    resyncSeconds: 10,
    reflectorPorts: [],
    restartFrozenCharon: 'never',
  };
});

function makeAgent(onReady: () => void): Agent {
  return new Agent(config, {
    clock: systemClock,
    bootMs: () => systemClock.monotonicMs(),
    random: () => 0,
    logger: createLogger('test', 'silent'),
    agentVersion: '1.2.3',
    onReady,
  });
}

/** An agent that runs until the test ends; resolves when it is ready. */
async function running(): Promise<LocalApi> {
  const stop = new AbortController();
  await new Promise<void>((resolve, reject) => {
    const ended = makeAgent(resolve).run(stop.signal);
    ended.catch(reject);
    onTestFinished(() => {
      stop.abort();
      return ended;
    });
  });
  return new LocalApi({ socketPath: config.socket, service: 'cygnet-agent' });
}

/** The inodes of this process's own TCP sockets that listen. */
function tcpListeners(): string[] {
  const own = new Set(readdirSync('/proc/self/fd').map((fd) => linkOf(`/proc/self/fd/${fd}`)));
  return ['tcp', 'tcp6']
    .flatMap((family) => readFileSync(`/proc/self/net/${family}`, 'utf8').trim().split('\n').slice(1))
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === '0A' && own.has(`socket:[${inode}]`))
    .map(([, local = '']) => local);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

describe('an agent', () => {
  it('listens on no TCP port', async () => {
    const before = tcpListeners();
    const server = createServer().listen(0);
    await once(server, 'listening');
    expect(tcpListeners()).toHaveLength(before.length + 1);
    server.close();
    await running();
    expect(tcpListeners()).toEqual(before);
  });

  it('has a second socket for who may only look, beside the first or where it is told', async () => {
    config = { ...config, readSocket: join(folder, 'other', 'look.sock') };
    await running();
    const readers = new LocalApi({ socketPath: join(folder, 'other', 'look.sock'), service: 'cygnet-agent' });
    expect(await readers.get('/v1/status', statusSchema)).toMatchObject({ node: null });
    expect([config.socket, config.readSocket!].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o660]);
  });

  it('gives that socket to the group of its configuration', async () => {
    const group = execFileSync('id', ['-gn']).toString().trim();
    config = { ...config, readGroup: group };
    await running();
    expect(statSync(join(folder, 'read.sock')).gid).toBe(process.getgid?.());
  });

  it('does not begin with a group that is not there', async () => {
    config = { ...config, readGroup: 'no-such-group' };
    await expect(makeAgent(() => undefined).run(new AbortController().signal)).rejects.toThrow(
      'readGroup: there is no group "no-such-group" on this machine',
    );
    expect(existsSync(config.socket)).toBe(false);
  });

  it('is ready without coordinator and charon, and says what is missing', async () => {
    const status: AgentStatus = await (await running()).get('/v1/status', statusSchema);
    expect(status).toMatchObject({
      agentVersion: '1.2.3',
      node: null,
      coordinator: { state: 'not-enrolled' },
      charon: { connected: false },
      desired: { generation: null, applied: null },
    });
    expect(status.problems).toEqual([
      expect.stringContaining('this node is not enrolled'),
      expect.stringMatching(/charon/),
    ]);
  });

  it('gives up no path to a node that it has no link to', async () => {
    const body = { contentType: 'application/json', text: '{"peer":"remote"}' };
    const asked = (await running()).send('POST', '/v1/reconnect', reconnectResultSchema, body);
    await expect(asked).rejects.toThrow('this node has no link to "remote"; it has no links');
  });

  it('does not begin beside another one', async () => {
    await running();
    await expect(makeAgent(() => undefined).run(new AbortController().signal)).rejects.toThrow(config.socket);
  });

  it('that is stopped while it starts ends', async () => {
    await makeAgent(() => undefined).run(AbortSignal.abort());
  });
});

describe('an agent that is enrolled', () => {
  interface Enrolling {
    readonly host: FakeHost;
    readonly enroll: (change?: object) => Promise<{ status: number | undefined; body: string }>;
  }

  /** A running agent with its coordinator, which lets in the channel key that it has certified last, and no other. */
  async function enrolling(): Promise<Enrolling> {
    const ca = await meshCa();
    const host = new FakeHost();
    const server = await openTestServer(ca, host);
    onTestFinished(() => server[Symbol.asyncDispose]());
    host.enrolment = async (asked) => {
      host.keys.clear();
      host.keys.set((await verifyCsr(asked.channelCsr)).spkiSha256, EDGE1);
      return await certify(ca, asked);
    };
    host.renewal = async (_node, { purpose, csr }) => {
      const { publicKey, spkiSha256 } = await verifyCsr(csr);
      if (purpose === 'channel') host.keys.set(spkiSha256, EDGE1);
      const issue = purpose === 'channel' ? issueChannelCertificate : issueIkeCertificate;
      return { certificate: await issue(ca, { node: 'edge1', publicKey, nowMs: Date.now() }) };
    };
    await running();
    const coordinator = `https://127.0.0.1:${server.port}`;
    const command = (): object => ({ coordinator, token: createToken(caPinOf(ca.certificatePem)) });
    return { host, enroll: (change) => post({ ...command(), ...change }) };
  }

  it('renews its certificates when it is told to, and opens its channel with the new one', async () => {
    const { host, enroll } = await enrolling();
    await enroll();
    await eventually(() => expect(opened(host)).toBe(1));
    const before = storedIn(config.stateDir).identity.read()!;
    const local = new LocalApi({ socketPath: config.socket, service: 'cygnet-agent' });
    expect(await local.send('POST', '/v1/renew', renewResultSchema)).toMatchObject({
      certificates: [
        { purpose: 'channel', problem: null },
        { purpose: 'ike', problem: null },
      ],
    });
    await eventually(() => expect(opened(host)).toBe(2));
    const after = storedIn(config.stateDir).identity.read()!;
    expect(after.channel.key).not.toBe(before.channel.key);
    expect(after.channel.former).toBeUndefined();
    // There is no charon that could have taken it.
    expect(after.ike?.former).toEqual(before.ike);
    const { problems, certificates } = await local.get('/v1/status', statusSchema);
    expect(problems.filter((problem) => problem.includes('certificate'))).toEqual([]);
    expect(certificates.map(({ purpose }) => purpose)).toEqual(['channel', 'ike']);
  });

  it('asks for no certificate for IKE where the operator places one', async () => {
    const at = (name: string): string => join(folder, name);
    config = { ...config, ike: { ca: at('ca.pem'), certificate: at('own.pem'), key: at('own.key') } };
    const { host, enroll } = await enrolling();
    expect(await enroll()).toMatchObject({ status: 200 });
    expect(storedIn(config.stateDir).identity.read()).not.toHaveProperty('ike');
    await eventually(() => expect(opened(host)).toBe(1));
    const local = new LocalApi({ socketPath: config.socket, service: 'cygnet-agent' });
    const { certificates } = await local.send('POST', '/v1/renew', renewResultSchema);
    expect(certificates).toMatchObject([{ purpose: 'channel', problem: null }]);
  });

  it('renews nothing before it is enrolled', async () => {
    const local = await running();
    await expect(local.send('POST', '/v1/renew', renewResultSchema)).rejects.toThrow(/not enrolled yet/);
  });

  function post(body: object): Promise<{ status: number | undefined; body: string }> {
    return new Promise((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      request({ socketPath: config.socket, method: 'POST', path: '/v1/enroll', headers, agent: false })
        .on('response', (reply) => {
          text(reply).then((said) => resolve({ status: reply.statusCode, body: said }), reject);
        })
        .on('error', reject)
        .end(JSON.stringify(body));
    });
  }

  const opened = ({ heard }: FakeHost): number => heard.filter((words) => words.startsWith('opened')).length;

  it('is not enrolled again by accident', async () => {
    const { host, enroll } = await enrolling();
    expect(await enroll()).toMatchObject({ status: 200 });
    const before = storedIn(config.stateDir).identity.read();
    host.enrolment = () => expect.fail('the coordinator was asked');
    expect(await enroll()).toEqual({ status: 409, body: expect.stringContaining('--again') as string });
    expect(storedIn(config.stateDir).identity.read()).toEqual(before);
  });

  it('has new keys when it is to be enrolled again, and opens its channel with them', async () => {
    const { host, enroll } = await enrolling();
    await enroll();
    await eventually(() => expect(opened(host)).toBe(1));
    const before = storedIn(config.stateDir).identity.read()!;
    expect(await enroll({ again: true })).toMatchObject({ status: 200 });
    const after = storedIn(config.stateDir).identity.read()!;
    expect(after.channel.key).not.toBe(before.channel.key);
    expect(after.ike?.key).not.toBe(before.ike?.key);
    expect(existsSync(join(config.stateDir, 'enrolment.json'))).toBe(false);
    await eventually(() => expect(opened(host)).toBe(2));
  });

  it('begins with a damaged identity, says so, and can be enrolled again', async () => {
    mkdirSync(config.stateDir);
    writeFileSync(join(config.stateDir, 'identity.json'), '{"sha256":"');
    const { host, enroll } = await enrolling();
    const problems = async (): Promise<string[]> => {
      const local = new LocalApi({ socketPath: config.socket, service: 'cygnet-agent' });
      return (await local.get('/v1/status', statusSchema)).problems.filter((each) => each.includes('identity.json'));
    };
    expect(await problems()).toEqual([expect.stringContaining('agentctl enroll --again')]);
    expect(await enroll({ again: true })).toMatchObject({ status: 200 });
    await eventually(() => expect(opened(host)).toBe(1));
    expect(await problems()).toEqual([]);
  });
});

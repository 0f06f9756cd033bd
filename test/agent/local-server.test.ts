import { once } from 'node:events';
import { existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { enrollResultSchema } from '../../src/agent/api.ts';
import { EventLog } from '../../src/agent/event-log.ts';
import {
  LOCAL_ROUTES,
  LocalRefusal,
  serveLocalApi,
  serveReaders,
  type LocalApiHandlers,
} from '../../src/agent/local-server.ts';
import { createLogger } from '../../src/log.ts';
import { eventually } from '../vici/eventually.ts';
import { fullStatus } from './full-status.ts';
import { coneCheck } from './netcheck/checks.ts';
import { numbered } from './node-events.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { pingResult } from './ping-result.ts';

const logger = createLogger('test', 'silent');

function handlersWith(change: Partial<LocalApiHandlers>): LocalApiHandlers {
  return {
    status: () => Promise.resolve(fullStatus()),
    keptEvents: () => [],
    followEvents: () => new EventLog().follow(AbortSignal.abort()),
    enroll: () => Promise.resolve({ node: 'edge1', mesh: 'mesh.example' }),
    netCheck: () => Promise.resolve(coneCheck()),
    renew: () => Promise.resolve({ certificates: [] }),
    ping: () => Promise.resolve(pingResult()),
    reconnect: ({ peer }) => Promise.resolve({ peer, givenUpAtMs: 2000, directSinceMs: 1000 }),
    ...change,
  };
}

/** The API on a socket of its own, until the test ends. */
async function serving(change: Partial<LocalApiHandlers> = {}): Promise<string> {
  const socketPath = join(temporaryFolder(), 'agent.sock');
  const api = await serveLocalApi(socketPath, handlersWith(change), logger);
  onTestFinished(() => api[Symbol.asyncDispose]());
  return socketPath;
}

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly body?: string;
}

async function ask(socketPath: string, { path, method = 'GET', body }: Asked): Promise<[number, unknown]> {
  const outgoing = request({ socketPath, path, method, agent: false });
  outgoing.end(body);
  const response = new Promise<[number, unknown]>((resolve, reject) => {
    outgoing.on('error', reject).on('response', (incoming) => {
      textOf(incoming).then((text) => resolve([incoming.statusCode ?? 0, JSON.parse(text)]), reject);
    });
  });
  return await response;
}

const enroll = (body: string): Asked => ({ path: '/v1/enroll', method: 'POST', body });
const ping = (body: string): Asked => ({ path: '/v1/ping', method: 'POST', body });
const reconnect = (body: string): Asked => ({ path: '/v1/reconnect', method: 'POST', body });
const validEnroll = enroll(JSON.stringify({ coordinator: 'https://203.0.113.1:8443', token: 'cyg1.x.y' }));
const refused = (code: string): unknown => ({
  error: { code, message: expect.any(String) as string, details: [] },
});

describe('the local socket', () => {
  it('is the owner’s alone', async () => expect(statSync(await serving()).mode & 0o777).toBe(0o600));

  it('answers with the status', async () =>
    expect(await ask(await serving(), { path: '/v1/status' })).toEqual([200, fullStatus()]));

  it('hands an enrolment on, and its result back', async () => {
    const asked: string[] = [];
    const socketPath = await serving({
      enroll: ({ coordinator, token, again }) => {
        asked.push(coordinator, token, String(again));
        return Promise.resolve({ node: 'edge1', mesh: 'mesh.example' });
      },
    });
    const [status, body] = await ask(socketPath, validEnroll);
    expect(status).toBe(200);
    expect(enrollResultSchema.parse(body)).toEqual({ node: 'edge1', mesh: 'mesh.example' });
    expect(asked).toEqual(['https://203.0.113.1:8443', 'cyg1.x.y', 'undefined']);
  });

  it('pings the node that it is asked to, and hands the answers back', async () => {
    const asked: string[] = [];
    const socketPath = await serving({
      ping: ({ peer }) => {
        asked.push(peer);
        return Promise.resolve(pingResult());
      },
    });
    expect(await ask(socketPath, ping('{"peer":"remote"}'))).toEqual([200, pingResult()]);
    expect(asked).toEqual(['remote']);
  });

  it('has the direct tunnel to the node that it is told given up', async () =>
    expect(await ask(await serving(), reconnect('{"peer":"remote"}'))).toEqual([
      200,
      { peer: 'remote', givenUpAtMs: 2000, directSinceMs: 1000 },
    ]));

  it('checks the network when asked to', async () =>
    expect(await ask(await serving(), { path: '/v1/netcheck', method: 'POST' })).toEqual([200, coneCheck()]));

  it.each<[string, Asked, number, string]>([
    ['an unknown path', { path: '/v2/status' }, 404, 'not-found'],
    ['a path that is none', { path: '//' }, 400, 'bad-request'],
    ['another method', { path: '/v1/status', method: 'POST' }, 405, 'bad-method'],
    ['another method for an enrolment', { path: '/v1/enroll' }, 405, 'bad-method'],
    ['another method for a check', { path: '/v1/netcheck' }, 405, 'bad-method'],
    ['another method for a ping', { path: '/v1/ping' }, 405, 'bad-method'],
    ['a ping of nobody', ping('{}'), 400, 'bad-request'],
    ['a reconnect with nobody', reconnect('{}'), 400, 'bad-request'],
    ['a reconnect with a field too many', reconnect('{"peer":"remote","force":true}'), 400, 'bad-request'],
    ['another method for a reconnect', { path: '/v1/reconnect' }, 405, 'bad-method'],
    ['a ping with a field too many', ping('{"peer":"remote","count":9}'), 400, 'bad-request'],
    ['a body that is no JSON', enroll('{'), 400, 'bad-request'],
    ['no body', enroll(''), 400, 'bad-request'],
    ['an enrolment with a field too many', enroll('{"coordinator":"a","token":"b","force":true}'), 400, 'bad-request'],
    ['an enrolment without a token', enroll('{"coordinator":"a"}'), 400, 'bad-request'],
    ['a body that is too large', enroll('x'.repeat(1024 * 1024)), 413, 'too-large'],
  ])('refuses %s', async (_what, asked, status, code) =>
    expect(await ask(await serving(), asked)).toEqual([status, refused(code)]),
  );

  it('passes a refusal on, with its code', async () => {
    const enroll = (): Promise<never> => Promise.reject(new LocalRefusal(409, 'enrolled', 'enrolled already'));
    expect(await ask(await serving({ enroll }), validEnroll)).toEqual([
      409,
      { error: { code: 'enrolled', message: 'enrolled already', details: [] } },
    ]);
  });

  it('answers even when something is wrong inside', async () => {
    const status = (): Promise<never> => Promise.reject(new Error('oops'));
    expect(await ask(await serving({ status }), { path: '/v1/status' })).toEqual([500, refused('internal')]);
  });

  it('survives who does not speak HTTP', async () => {
    const socketPath = await serving();
    const socket = connect(socketPath);
    socket.on('error', () => undefined);
    socket.end(Buffer.from([0, 255, 13, 10, 13, 10]));
    socket.resume();
    await once(socket, 'close');
    expect(await ask(socketPath, { path: '/v1/status' })).toEqual([200, fullStatus()]);
  });
});

describe('the socket for readers', () => {
  const unexpected = (): never => {
    throw new Error('a reader must not get here');
  };

  async function servingReaders(): Promise<string> {
    const path = join(temporaryFolder(), 'read.sock');
    const handlers = handlersWith({
      enroll: unexpected,
      ping: unexpected,
      reconnect: unexpected,
      netCheck: unexpected,
      renew: unexpected,
    });
    const api = await serveReaders({ path }, handlers, logger);
    onTestFinished(() => api[Symbol.asyncDispose]());
    return path;
  }

  it('may be used by its group, and by nobody else', async () =>
    expect(statSync(await servingReaders()).mode & 0o777).toBe(0o660));

  it('has routes of both kinds to tell apart', () =>
    expect(new Set([...LOCAL_ROUTES.values()].map(({ kind }) => kind))).toEqual(new Set(['look', 'act'])));

  it.each([...LOCAL_ROUTES])('%s is there if it only looks', async (path, { method, kind }) => {
    const socketPath = await servingReaders();
    const outgoing = request({ socketPath, path, method, agent: false }).end();
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(kind === 'look' ? 200 : 404);
    response.resume();
    await once(response, 'end');
  });
});

describe('the path of the socket', () => {
  const listenOn = async (socketPath: string): Promise<AsyncDisposable> =>
    await serveLocalApi(
      socketPath,
      {
        status: () => Promise.resolve(fullStatus()),
        keptEvents: () => [],
        followEvents: () => new EventLog().follow(AbortSignal.abort()),
        enroll: () => Promise.reject(new Error('not expected')),
        netCheck: () => Promise.reject(new Error('not expected')),
        renew: () => Promise.reject(new Error('not expected')),
        reconnect: () => Promise.reject(new Error('not expected')),
        ping: () => Promise.resolve(pingResult()),
      },
      logger,
    );

  it('is not taken from a living agent', async () => {
    const socketPath = await serving();
    await expect(listenOn(socketPath)).rejects.toThrow(socketPath);
    expect(await ask(socketPath, { path: '/v1/status' })).toEqual([200, fullStatus()]);
  });

  it('is taken over from one that was killed', async () => {
    const socketPath = join(temporaryFolder(), 'agent.sock');
    const killed = createServer().listen(socketPath);
    await once(killed, 'listening');
    // A server that closes removes its file; a killed process does not.
    renameSync(socketPath, `${socketPath}.kept`);
    killed.close();
    renameSync(`${socketPath}.kept`, socketPath);
    const api = await listenOn(socketPath);
    onTestFinished(() => api[Symbol.asyncDispose]());
    expect(await ask(socketPath, { path: '/v1/status' })).toEqual([200, fullStatus()]);
  });

  it('is not taken from a file of another kind', async () => {
    const socketPath = join(temporaryFolder(), 'agent.sock');
    writeFileSync(socketPath, 'precious');
    await expect(listenOn(socketPath)).rejects.toThrow(`${socketPath} is taken: it is no socket`);
    expect(readFileSync(socketPath, 'utf8')).toBe('precious');
  });

  it('is free again after the end', async () => {
    const socketPath = join(temporaryFolder(), 'agent.sock');
    await (await listenOn(socketPath))[Symbol.asyncDispose]();
    expect(existsSync(socketPath)).toBe(false);
  });
});

describe('the event stream', () => {
  /** Lines as they come, and how to hang up. */
  async function following(
    socketPath: string,
    path = '/v1/events?follow=true',
  ): Promise<{ lines: string[]; ended: Promise<unknown>; hangUp: () => void }> {
    const outgoing = request({ socketPath, path, agent: false }).end();
    const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream];
    const lines: string[] = [];
    outgoing.on('error', () => undefined);
    response.setEncoding('utf8');
    response.on('error', () => undefined);
    response.on('data', (chunk: string) => lines.push(...chunk.split('\n').filter((line) => line !== '')));
    return { lines, ended: new Promise((resolve) => response.on('close', resolve)), hangUp: () => outgoing.destroy() };
  }

  /** An event log that counts who follows it. */
  function watched(): { readonly log: EventLog; readonly handlers: Partial<LocalApiHandlers>; followers: number } {
    const log = new EventLog();
    const counted = {
      log,
      followers: 0,
      handlers: {
        keptEvents: () => log.kept(),
        followEvents: async function* (signal: AbortSignal) {
          counted.followers += 1;
          try {
            yield* log.follow(signal);
          } finally {
            counted.followers -= 1;
          }
        },
      },
    };
    return counted;
  }

  it('is what is kept, and ends', async () => {
    const { log, handlers } = watched();
    log.add(numbered(1));
    log.add(numbered(2));
    const { lines, ended } = await following(await serving(handlers), '/v1/events');
    await ended;
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([numbered(1), numbered(2)]);
  });

  it('begins at once, though nothing has happened yet', async () => {
    const { handlers } = watched();
    expect((await following(await serving(handlers))).lines).toEqual([]);
  });

  it('goes on with what is new, and ends when the reader hangs up', async () => {
    const counted = watched();
    counted.log.add(numbered(1));
    const { lines, hangUp } = await following(await serving(counted.handlers));
    await eventually(() => expect(counted.followers).toBe(1));
    counted.log.add(numbered(2));
    await eventually(() => expect(lines).toHaveLength(2));
    hangUp();
    await eventually(() => expect(counted.followers).toBe(0));
  });

  it('breaks off when its reader is too slow, so that the reader knows', async () => {
    const slow = {
      followEvents: async function* () {
        yield numbered(1);
        throw new Error('1000 events behind');
      },
    };
    const outgoing = request({ socketPath: await serving(slow), path: '/v1/events?follow=true', agent: false }).end();
    const [response] = (await once(outgoing, 'response')) as [NodeJS.ReadableStream];
    await expect(textOf(response)).rejects.toThrow('aborted');
  });

  it('ends with the agent', async () => {
    const socketPath = join(temporaryFolder(), 'agent.sock');
    const { log } = watched();
    const api = await serveLocalApi(
      socketPath,
      {
        status: () => Promise.resolve(fullStatus()),
        keptEvents: () => [numbered(1)],
        followEvents: (signal) => log.follow(signal),
        enroll: () => Promise.reject(new Error('not expected')),
        netCheck: () => Promise.reject(new Error('not expected')),
        renew: () => Promise.reject(new Error('not expected')),
        reconnect: () => Promise.reject(new Error('not expected')),
        ping: () => Promise.resolve(pingResult()),
      },
      logger,
    );
    const { ended } = await following(socketPath);
    await api[Symbol.asyncDispose]();
    await ended;
  });
});

import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { LocalApi } from '../../src/cli/local-api.ts';

const schema = z.object({ id: z.number() });

let folder: string;
let server: Server | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-api-'));
});

afterEach(() => {
  server?.closeAllConnections();
  server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

function api(timeoutMs = 10_000): LocalApi {
  return new LocalApi({ socketPath: join(folder, 'a.sock'), service: 'cygnet-test', timeoutMs });
}

async function serving(listener: RequestListener): Promise<LocalApi> {
  server = createServer(listener).listen(join(folder, 'a.sock'));
  await once(server, 'listening');
  return api();
}

const fails = (code: string, message: RegExp) =>
  expect.objectContaining({ name: 'CliError', code, message: expect.stringMatching(message) as string });

describe('a request', () => {
  it('says which service is not running, and how to look at it', async () => {
    const failure = await api()
      .get('/x', schema)
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'not-running',
      message: `cygnet-test is not running: nothing listens on ${folder}/a.sock`,
      details: ['see: systemctl status cygnet-test'],
    });
  });

  it('passes a refusal on in the service’s words; only a 400 is the user’s fault', async () => {
    const client = await serving((request, response) => {
      response.statusCode = request.url === '/user' ? 400 : 409;
      response.end(JSON.stringify({ error: { code: 'x', message: 'no', details: ['line 1'] } }));
    });
    await expect(client.get('/user', schema)).rejects.toThrow(
      expect.objectContaining({ code: 'bad-input', message: 'no', details: ['line 1'] }),
    );
    await expect(client.get('/other', schema)).rejects.toThrow(fails('refused', /no/));
  });

  it.each(['not json', '{"id":"seven"}'])('does not trust the answer %s', async (text) => {
    const client = await serving((_request, response) => response.end(text));
    await expect(client.get('/x', schema)).rejects.toThrow(fails('not-understood', /of one version/));
  });

  it('does not wait for ever', async () => {
    await serving(() => undefined);
    await expect(api(20).get('/x', schema)).rejects.toThrow(fails('no-answer', /no answer for 20 ms/));
  });
});

describe('a socket that may not be opened', () => {
  const readSocketPath = (): string => join(folder, 'read.sock');

  async function listenOn(path: string, text: string, mode: number): Promise<void> {
    const listening = createServer((_request, response) => response.end(text)).listen(path);
    await once(listening, 'listening');
    chmodSync(path, mode);
    onTestFinished(() => {
      listening.close();
    });
  }

  /** Root may open anything. */
  async function asNobody<T>(work: () => Promise<T>): Promise<T> {
    if (process.geteuid?.() !== 0) return await work();
    chmodSync(folder, 0o755);
    process.seteuid?.(65_534);
    try {
      return await work();
    } finally {
      process.seteuid?.(0);
    }
  }

  it('is replaced by the one for readers, for what only reads', async () => {
    await listenOn(join(folder, 'a.sock'), '{"id":1}', 0o000);
    await listenOn(readSocketPath(), '{"id":2}', 0o777);
    const both = new LocalApi({ socketPath: join(folder, 'a.sock'), readSocketPath: readSocketPath(), service: 'x' });
    await asNobody(async () => {
      expect(await both.get('/x', schema)).toEqual({ id: 2 });
      await expect(both.send('POST', '/x', schema)).rejects.toThrow(
        fails('no-permission', /a\.sock: run this as root/),
      );
    });
  });

  it('is what is told of when there is no other', async () => {
    await listenOn(join(folder, 'a.sock'), '{"id":1}', 0o000);
    const both = new LocalApi({ socketPath: join(folder, 'a.sock'), readSocketPath: readSocketPath(), service: 'x' });
    await asNobody(async () => {
      await expect(both.get('/x', schema)).rejects.toThrow(fails('no-permission', /a\.sock: run this as root/));
    });
  });
});

describe('a stream', () => {
  const collect = async (items: AsyncIterable<{ readonly id: number }>): Promise<number[]> => {
    const ids: number[] = [];
    for await (const { id } of items) ids.push(id);
    return ids;
  };

  it('puts lines together that arrive in pieces', async () => {
    const client = await serving((_request, response) => {
      response.write('{"id":1}\n{"i');
      setImmediate(() => response.end('d":2}\n\n{"id":3}\n'));
    });
    expect(await collect(client.stream('/x', schema))).toEqual([1, 2, 3]);
  });

  it('ends quietly when the caller has had enough', async () => {
    const client = await serving((_request, response) => response.write('{"id":1}\n'));
    const stop = new AbortController();
    const items = client.stream('/x', schema, stop.signal);
    expect(await items.next()).toEqual({ done: false, value: { id: 1 } });
    stop.abort();
    expect(await items.next()).toEqual({ done: true, value: undefined });
  });

  it('fails when the service breaks off', async () => {
    const client = await serving((_request, response) => {
      response.write('{"id":1}\n', () => response.destroy());
    });
    await expect(collect(client.stream('/x', schema))).rejects.toThrow(fails('no-answer', /hung up/));
  });
});

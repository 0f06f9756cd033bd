import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LISTS_MAX, ViciSession } from '../../src/vici/session.ts';
import { eventually } from './eventually.ts';
import { FakeCharon, neverAnswer, streamOf } from './fake-charon.ts';
import { viciRejectionOf } from './vici-error-of.ts';

let charon: FakeCharon;
let session: ViciSession;
beforeEach(async () => {
  charon = await FakeCharon.start();
  session = await ViciSession.connect({ socketPath: charon.socketPath });
});
afterEach(async () => {
  await session[Symbol.asyncDispose]();
  await charon[Symbol.asyncDispose]();
});

type Body = ReadonlyMap<string, string>;
const bodies = (count: number): Body[] => Array.from({ length: count }, (_unused, at) => new Map([['at', String(at)]]));

async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const element of source) all.push(element);
  return all;
}

const onlyTheSessionIsLeft = (): Promise<void> => eventually(() => expect(charon.clients.size).toBe(1));

describe('a stream', () => {
  it('yields every event in order and then ends', async () => {
    charon.on('list-conns', streamOf('list-conn', bodies(2000)));
    expect(await collect(session.stream('list-conns'))).toEqual(bodies(2000));
    await onlyTheSessionIsLeft();
  });

  it('is complete for a consumer that is slower than charon', async () => {
    charon.on('list-conns', streamOf('list-conn', bodies(2000)));
    let count = 0;
    for await (const body of session.stream('list-conns')) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      expect(body.get('at')).toBe(String(count));
      count += 1;
    }
    expect(count).toBe(2000);
  });

  it('opens nothing before it is asked for the first element', async () => {
    session.stream('list-conns');
    await session.call('get-conns');
    expect(charon.clientsMax).toBe(1);
  });

  it('may be left early, and the rest is read and dropped', async () => {
    charon.on('list-sas', streamOf('list-sa', bodies(2000)));
    for await (const body of session.stream('list-sas')) {
      expect(body.get('at')).toBe('0');
      break;
    }
    await onlyTheSessionIsLeft();
    expect(await session.call('get-conns')).toEqual({ conns: [] });
    expect(await collect(session.stream('list-sas'))).toHaveLength(2000);
  });

  it("ends with charon's refusal after the events", async () => {
    const refusal = new Map([
      ['success', 'no'],
      ['errmsg', "establishing CHILD_SA 'x' failed"],
    ]);
    charon.on('initiate', streamOf('control-log', bodies(3), refusal));
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const body of session.stream('initiate')) seen.push(body);
    })();
    expect(await viciRejectionOf(reading)).toMatchObject({
      code: 'command-failed',
      detail: "establishing CHILD_SA 'x' failed",
    });
    expect(seen).toEqual(bodies(3));
  });

  it('reports a command that this charon lacks', async () => {
    expect((await viciRejectionOf(collect(session.stream('list-policies')))).code).toBe('unknown-command');
    await onlyTheSessionIsLeft();
  });

  it('reports an event that this charon lacks', async () => {
    charon.knownEvents.delete('list-sa');
    charon.on('list-sas', streamOf('list-sa', []));
    expect((await viciRejectionOf(collect(session.stream('list-sas')))).code).toBe('unknown-event');
    await onlyTheSessionIsLeft();
    expect(charon.commands).toEqual([]);
  });

  it('fails alone when charon pauses for too long', async () => {
    charon.on('list-sas', (client, request) => {
      client.event('list-sa', new Map([['first', 'yes']]));
      return neverAnswer(client, request);
    });
    const stream = session.stream('list-sas', undefined, { timeoutMs: 30 });
    expect((await stream.next()).done).toBe(false);
    expect((await viciRejectionOf(stream.next())).code).toBe('deadline-passed');
    await onlyTheSessionIsLeft();
    expect(await session.call('get-conns')).toEqual({ conns: [] });
  });

  it('is abandoned by its signal, and its connection is closed once charon is done', async () => {
    let finish = (): void => {};
    charon.on('list-sas', async (client) => {
      await new Promise<void>((resolve) => (finish = resolve));
      client.respond(new Map());
    });
    const controller = new AbortController();
    const reading = viciRejectionOf(collect(session.stream('list-sas', undefined, { signal: controller.signal })));
    await eventually(() => expect(charon.commands).toEqual(['list-sas']));
    controller.abort();
    expect((await reading).code).toBe('aborted');
    finish();
    await onlyTheSessionIsLeft();
  });

  it('is cut by the end of charon', async () => {
    charon.on('list-sas', (client) => {
      client.event('list-sa', new Map());
      client.end();
    });
    expect((await viciRejectionOf(collect(session.stream('list-sas')))).code).toBe('connection-closed');
  });

  it('leaves room: the lists beyond the limit wait for their turn', async () => {
    const waiting: (() => void)[] = [];
    let running = 0;
    let runningMax = 0;
    charon.on('list-conns', async (client, request) => {
      running += 1;
      runningMax = Math.max(runningMax, running);
      await new Promise<void>((resolve) => waiting.push(resolve));
      running -= 1;
      return streamOf('list-conn', bodies(20))(client, request);
    });
    const lists = Array.from({ length: 15 }, () => collect(session.stream('list-conns')));
    for (let done = 0; done < lists.length; done += 1) {
      await eventually(() => expect(waiting).not.toHaveLength(0));
      waiting.shift()?.();
    }
    expect(await Promise.all(lists)).toEqual(lists.map(() => bodies(20)));
    expect(runningMax).toBe(LISTS_MAX);
  });
});

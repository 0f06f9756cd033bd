import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BULK_COMMANDS_MAX, ViciSession } from '../../src/vici/session.ts';
import { FakeCharon, refusal } from '../../src/vici/testing/index.ts';
import { collect } from './collect.ts';
import { CONFIG, numberedNames } from './contract/connections.ts';
import { eventually } from './eventually.ts';
import { viciRejectionOf } from './vici-error-of.ts';

const NAMES = numberedNames('conn', 2000);

let charon: FakeCharon;
let session: ViciSession;
beforeEach(async () => {
  charon = await FakeCharon.start();
  charon.load(Object.fromEntries(NAMES.map((name) => [name, CONFIG])));
  session = await ViciSession.connect(charon.address);
});
afterEach(async () => {
  await session[Symbol.asyncDispose]();
  await charon[Symbol.asyncDispose]();
});

const listed = async (): Promise<string[]> => (await collect(session.stream('list-conns'))).map(({ name }) => name);
const onlyTheSessionIsLeft = (): Promise<void> => eventually(() => expect(charon.clients.size).toBe(1));

describe('a stream', () => {
  it('yields every item in order and then ends', async () => {
    expect(await listed()).toEqual(NAMES);
    await onlyTheSessionIsLeft();
  });

  it('is complete for a consumer that is slower than charon', async () => {
    const seen: string[] = [];
    for await (const { name } of session.stream('list-conns')) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      seen.push(name);
    }
    expect(seen).toEqual(NAMES);
  });

  it('opens nothing before it is asked for the first item', async () => {
    session.stream('list-conns');
    await session.call('version');
    expect(charon.clientsMax).toBe(1);
  });

  it('may be left early, and the rest is read and dropped', async () => {
    for await (const { name } of session.stream('list-conns')) {
      expect(name).toBe(NAMES[0]);
      break;
    }
    await onlyTheSessionIsLeft();
    expect((await session.call('get-conns')).conns).toHaveLength(NAMES.length);
    expect(await listed()).toEqual(NAMES);
  });

  it("ends with charon's refusal after the items", async () => {
    charon.on('initiate', (_request, client) => {
      for (const level of [0, 1, 2]) client.event('control-log', { group: 'IKE', level, msg: 'no' });
      return refusal("establishing CHILD_SA 'x' failed");
    });
    const levels: number[] = [];
    const reading = (async () => {
      for await (const { level } of session.stream('initiate', { child: 'x' })) levels.push(level);
    })();
    expect(await viciRejectionOf(reading)).toMatchObject({
      code: 'command-failed',
      detail: "establishing CHILD_SA 'x' failed",
    });
    expect(levels).toEqual([0, 1, 2]);
  });

  it('ends at an item that cannot be read, and the rest of the session goes on', async () => {
    charon.on('list-conns', (_request, client) => {
      client.event('list-conn', { 'not-a-section': 'text' });
      return {};
    });
    expect((await viciRejectionOf(listed())).code).toBe('malformed-message');
    await onlyTheSessionIsLeft();
    expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd' });
  });

  it('reports a command that this charon lacks', async () => {
    charon.forget('list-policies');
    expect((await viciRejectionOf(collect(session.stream('list-policies')))).code).toBe('unknown-command');
    await onlyTheSessionIsLeft();
  });

  it('reports an event that this charon lacks', async () => {
    charon.knownEvents.delete('list-sa');
    expect((await viciRejectionOf(collect(session.stream('list-sas')))).code).toBe('unknown-event');
    await onlyTheSessionIsLeft();
    expect(charon.commands).toEqual([]);
  });

  it('fails alone when charon pauses for too long', async () => {
    charon.on('initiate', (_request, client) => {
      client.event('control-log', { group: 'IKE', level: 1, msg: 'retransmit' });
      return new Promise(() => {});
    });
    const stream = session.stream('initiate', { child: 'x' }, { timeoutMs: 30 });
    expect((await stream.next()).value).toMatchObject({ msg: 'retransmit' });
    expect((await viciRejectionOf(stream.next())).code).toBe('deadline-passed');
    await onlyTheSessionIsLeft();
    expect(await session.call('version')).toMatchObject({ daemon: 'charon-systemd' });
  });

  it('is abandoned by its signal, and its connection is closed once charon is done', async () => {
    const held = charon.hold('list-sas');
    const controller = new AbortController();
    const reading = viciRejectionOf(collect(session.stream('list-sas', {}, { signal: controller.signal })));
    await held.arrived();
    controller.abort();
    expect((await reading).code).toBe('aborted');
    held.release();
    await onlyTheSessionIsLeft();
  });

  it('leaves room: the lists beyond the limit wait for their turn', async () => {
    const held = charon.hold('list-conns');
    const lists = Array.from({ length: 15 }, listed);
    await held.arrived(BULK_COMMANDS_MAX);
    for (let released = 0; released < lists.length; released += 1) {
      await held.arrived();
      expect(held.waiting).toBeLessThanOrEqual(BULK_COMMANDS_MAX);
      held.release();
    }
    expect(await Promise.all(lists)).toEqual(lists.map(() => NAMES));
  });
});

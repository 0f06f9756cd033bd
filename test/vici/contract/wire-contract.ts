import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeMessage } from '../../../src/vici/message.ts';
import { encodePacket, type Packet } from '../../../src/vici/packet.ts';
import { encodeSegment, SEGMENT_BYTES_MAX } from '../../../src/vici/segment.ts';
import type { CharonUnderTest } from './charon-under-test.ts';
import { CONFIG, numberedNames } from './connections.ts';
import { RawClient } from './raw-client.ts';

const VERSION: Packet = { type: 'cmd-request', name: 'version', body: new Uint8Array() };
const load = (name: string): Packet => ({
  type: 'cmd-request',
  name: 'load-conn',
  body: encodeMessage({ [name]: CONFIG }),
});
const bytesOf = (...packets: readonly Packet[]): Uint8Array =>
  Buffer.concat(packets.map((packet) => encodeSegment(encodePacket(packet))));

/** What passes over the socket, below the library: a fake that differs here would prove nothing. */
export function describeWire(name: string, start: () => Promise<CharonUnderTest>): void {
  describe(`the wire of ${name}`, () => {
    let charon: CharonUnderTest;
    beforeAll(async () => {
      charon = await start();
    });
    afterAll(async () => {
      await charon[Symbol.asyncDispose]();
    });

    const unloadAll = async (names: readonly string[]): Promise<void> => {
      await using client = await RawClient.connect(charon.address);
      for (const conn of names) client.request('unload-conn', { name: conn });
      for (const conn of names) expect([conn, (await client.nextReply()).get('success')]).toEqual([conn, 'yes']);
    };

    it.each([1, 2, 3, 7, 1000])('reads requests that come in pieces of %i bytes', async (length) => {
      await using client = await RawClient.connect(charon.address);
      await client.writeInPieces(
        bytesOf(VERSION, { type: 'cmd-request', name: 'none', body: new Uint8Array() }),
        length,
      );
      expect((await client.nextReply()).get('daemon')).toBe('charon-systemd');
      expect(await client.nextKind()).toBe('cmd-unknown');
    });

    it('answers everything in the order of the requests, whatever its kind', async () => {
      await using client = await RawClient.connect(charon.address);
      client.write(
        bytesOf(
          VERSION,
          { type: 'event-register', name: 'ike-updown' },
          { type: 'cmd-request', name: 'nonexistent', body: new Uint8Array() },
          { type: 'event-register', name: 'nonexistent' },
          { type: 'event-unregister', name: 'ike-updown' },
          { type: 'event-unregister', name: 'ike-updown' },
          { type: 'event-unregister', name: 'nonexistent' },
          VERSION,
        ),
      );
      const kinds: string[] = [];
      while (kinds.length < 8) kinds.push(await client.nextKind());
      expect(kinds).toEqual([
        'cmd-response',
        'event-confirm',
        'cmd-unknown',
        'event-unknown',
        'event-confirm',
        'event-unknown',
        'event-unknown',
        'cmd-response',
      ]);
    });

    it('sends an event as often as the connection has registered for it, and to no other', async () => {
      await using twice = await RawClient.connect(charon.address);
      await using never = await RawClient.connect(charon.address);
      for (let time = 0; time < 2; time += 1) twice.send({ type: 'event-register', name: 'list-conn' });
      expect([await twice.nextKind(), await twice.nextKind()]).toEqual(['event-confirm', 'event-confirm']);
      twice.send(load('listed'));
      expect((await twice.nextReply()).get('success')).toBe('yes');
      twice.request('list-conns');
      expect(await twice.nextKind()).toBe('event list-conn');
      expect(await twice.nextKind()).toBe('event list-conn');
      expect(await twice.nextKind()).toBe('cmd-response');
      never.request('list-conns');
      expect(await never.nextKind()).toBe('cmd-response');
      twice.send({ type: 'event-unregister', name: 'list-conn' });
      expect(await twice.nextKind()).toBe('event-confirm');
      twice.request('list-conns');
      expect(await twice.nextKind()).toBe('event list-conn');
      expect(await twice.nextKind()).toBe('cmd-response');
      await unloadAll(['listed']);
    });

    it.each<[string, Uint8Array]>([
      ['an empty segment', Uint8Array.of()],
      ['an operation that only charon may send', Uint8Array.of(5)],
      ['an operation that does not exist', Uint8Array.of(99, 1, 0x61)],
      ['a request whose name is cut off', Uint8Array.of(0, 9, 0x61)],
      ['a request whose name is not printable', Uint8Array.of(0, 2, 0x61, 7)],
      ['a registration whose name is not printable', Uint8Array.of(3, 1, 0xff)],
    ])('answers nothing to %s, and goes on', async (_what, payload) => {
      await using client = await RawClient.connect(charon.address);
      client.write(encodeSegment(payload));
      client.send({ type: 'event-register', name: 'log' });
      expect(await client.nextKind()).toBe('event-confirm');
    });

    it('hangs up at a request that is longer than a segment may be', async () => {
      await using client = await RawClient.connect(charon.address);
      const header = Buffer.alloc(4);
      header.writeUInt32BE(SEGMENT_BYTES_MAX + 1);
      client.write(header);
      await client.hungUp();
    });

    it('takes a request that is as long as a segment may be', async () => {
      await using client = await RawClient.connect(charon.address);
      const payload = new Uint8Array(SEGMENT_BYTES_MAX);
      payload.set([0, 1, 0x61]);
      client.write(encodeSegment(payload));
      expect(await client.nextKind()).toBe('cmd-unknown');
    });

    it('says that it failed when the root section has an end', async () => {
      await using client = await RawClient.connect(charon.address);
      const body = Buffer.concat([encodeMessage({ ended: CONFIG }), Uint8Array.of(2)]);
      client.send({ type: 'cmd-request', name: 'load-conn', body });
      const reply = await client.nextReply();
      expect(Object.fromEntries(reply)).toEqual({ success: 'no', errmsg: 'parsing request failed' });
      // The real one has loaded it all the same.
      client.request('unload-conn', { name: 'ended' });
      await client.nextReply();
    });

    it('drops a reply that is longer than a segment may be, and answers what is behind it', async () => {
      const names = numberedNames('n'.repeat(240), 2200);
      await using client = await RawClient.connect(charon.address);
      for (const conn of names) client.send(load(conn));
      for (const conn of names) expect([conn, (await client.nextReply()).get('success')]).toEqual([conn, 'yes']);
      client.request('get-conns');
      client.request('version');
      expect((await client.nextReply()).get('daemon')).toBe('charon-systemd');
      await unloadAll(names);
    });

    it('hangs up on nobody else when a client goes within a request', async () => {
      await using witness = await RawClient.connect(charon.address);
      const rude = await RawClient.connect(charon.address);
      rude.write(bytesOf(VERSION).subarray(0, 6));
      await rude[Symbol.asyncDispose]();
      witness.request('version');
      expect((await witness.nextReply()).get('daemon')).toBe('charon-systemd');
    });
  });
}

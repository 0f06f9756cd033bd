import { describe, expect, it } from 'vitest';
import { decodePacket, encodePacket, type Packet, type PacketOf } from '../../src/vici/packet.ts';
import { viciErrorOf } from './vici-error-of.ts';

const body = Uint8Array.of(3, 1, 0x61, 0, 1, 0x62);

/** All eight kinds with the bytes that the specification gives them. */
const samples: readonly (readonly [Packet, readonly number[]])[] = [
  [{ type: 'cmd-request', name: 'ab', body }, [0, 2, 0x61, 0x62, ...body]],
  [{ type: 'cmd-response', body }, [1, ...body]],
  [{ type: 'cmd-unknown' }, [2]],
  [{ type: 'event-register', name: 'ab' }, [3, 2, 0x61, 0x62]],
  [{ type: 'event-unregister', name: 'ab' }, [4, 2, 0x61, 0x62]],
  [{ type: 'event-confirm' }, [5]],
  [{ type: 'event-unknown' }, [6]],
  [{ type: 'event', name: 'ab', body }, [7, 2, 0x61, 0x62, ...body]],
];

describe('packets', () => {
  it.each(samples)('encodes $type', (packet, bytes) => {
    expect([...encodePacket(packet)]).toEqual(bytes);
  });

  it.each(samples)('decodes $type', (packet, bytes) => {
    const decoded = decodePacket(Uint8Array.from(bytes));
    expect('body' in decoded ? { ...decoded, body: Uint8Array.from(decoded.body) } : decoded).toEqual(packet);
  });

  it('gives the body as a view, whatever kind of bytes it comes in', () => {
    const memory = Uint8Array.of(9, 1, 3, 9);
    for (const bytes of [memory.subarray(1, 3), Buffer.from(memory.buffer, 1, 2)]) {
      const { body } = decodePacket(bytes) as PacketOf<'cmd-response'>;
      expect([body.buffer === memory.buffer, body.byteOffset, ...body]).toEqual([true, 2, 3]);
    }
  });

  it.each<[string, readonly number[]]>([
    ['no byte at all', []],
    ['an unknown type', [8]],
    ['an event without a name', [7]],
    ['a name that is cut off', [7, 3, 0x61]],
    ['bytes behind a confirmation', [5, 0]],
    ['bytes behind a registration', [3, 1, 0x61, 0]],
  ])('refuses %s', (_what, bytes) => {
    expect(viciErrorOf(() => decodePacket(Uint8Array.from(bytes))).code).toBe('malformed-message');
  });

  it('refuses to name a command what charon would not even answer', () => {
    expect(viciErrorOf(() => encodePacket({ type: 'cmd-request', name: 'a\0b', body })).code).toBe('invalid-request');
  });
});

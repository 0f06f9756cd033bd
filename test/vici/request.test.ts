import { describe, expect, it } from 'vitest';
import { encodeMessage } from '../../src/vici/message.ts';
import { encodePacket } from '../../src/vici/packet.ts';
import { encodeRequest } from '../../src/vici/request.ts';
import { encodeSegment, SEGMENT_BYTES_MAX } from '../../src/vici/segment.ts';
import { viciErrorOf } from './vici-error-of.ts';

/** A request of exactly that many bytes behind the length: type, name, and lists of large items. */
function requestOf(bytes: number): { readonly list: readonly string[]; readonly last: string } {
  const room = bytes - 2 - 'x'.length - '..list.'.length - '..last..'.length;
  const items = Math.floor(room / 60_003);
  return { list: Array.from({ length: items }, () => 'v'.repeat(60_000)), last: 'v'.repeat(room - items * 60_003) };
}

describe('encodeRequest', () => {
  it('gives one whole segment', () => {
    const request = { child: 'net', timeout: -1 };
    const packet = encodePacket({ type: 'cmd-request', name: 'initiate', body: encodeMessage(request) });
    expect(encodeRequest('initiate', request)).toEqual(encodeSegment(packet));
    expect([...encodeRequest('stats', {})]).toEqual([0, 0, 0, 7, 0, 5, ...Buffer.from('stats')]);
  });

  it('gives memory of its own, small and large', () => {
    const requests = [{ a: 'x' }, { a: 'y' }, requestOf(300_000), requestOf(300_001)];
    const encoded = requests.map((request) => encodeRequest('x', request));
    const copies = encoded.map((bytes) => Buffer.from(bytes));
    for (const request of requests) encodeRequest('x', request);
    expect(encoded.map((bytes, index) => Buffer.compare(bytes, copies[index]!))).toEqual([0, 0, 0, 0]);
  });

  it('takes what charon takes and not one byte more', () => {
    expect(encodeRequest('x', requestOf(SEGMENT_BYTES_MAX)).length).toBe(4 + SEGMENT_BYTES_MAX);
    const tooLarge = viciErrorOf(() => encodeRequest('x', requestOf(SEGMENT_BYTES_MAX + 1)));
    expect(tooLarge.code).toBe('segment-too-large');
  });

  it('stops at the limit, however large the request would become', () => {
    let doubled: Record<string, unknown> = { text: 'x'.repeat(1000) };
    for (let level = 0; level < 30; level += 1) doubled = { one: doubled, other: doubled };
    expect(viciErrorOf(() => encodeRequest('x', doubled as never)).code).toBe('segment-too-large');
  });

  it.each([
    ['no name', ''],
    ['a name of 256 bytes', 'x'.repeat(256)],
    ['a name that is not printable', 'a\0b'],
  ])('refuses a command with %s', (_what, name) => {
    expect(viciErrorOf(() => encodeRequest(name, {})).code).toBe('invalid-request');
  });

  it('works on after a request that was refused', () => {
    viciErrorOf(() => encodeRequest('x', { before: 'x'.repeat(50), bad: '\ud800' }));
    expect(encodeRequest('x', { a: 'b' })).toEqual(encodeRequest('x', new Map([['a', 'b']])));
  });
});

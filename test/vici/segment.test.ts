import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeSegment, SEGMENT_BYTES_MAX, SegmentDecoder } from '../../src/vici/segment.ts';
import { viciErrorOf } from './vici-error-of.ts';

const payloads = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(9), new Uint8Array(300).fill(7)];
const stream = Buffer.concat(payloads.map(encodeSegment));
const cutPoints = Array.from({ length: stream.length + 1 }, (_unused, at) => at);

function header(length: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  return bytes;
}

describe('the segment decoder', () => {
  it('cuts the same segments wherever the stream is cut in two', () => {
    for (const cut of cutPoints) {
      const decoder = new SegmentDecoder();
      const segments = [...decoder.push(stream.subarray(0, cut)), ...decoder.push(stream.subarray(cut))];
      expect(segments, `cut at byte ${cut}`).toEqual(payloads);
      expect(decoder.pendingBytes).toBe(0);
    }
  });

  it('cuts the same segments when every byte comes alone', () => {
    const decoder = new SegmentDecoder();
    expect([...stream].flatMap((byte) => decoder.push(Uint8Array.of(byte)))).toEqual(payloads);
  });

  it('gives back any payloads in any chunking', () => {
    const chunking = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 10 }), chunking, (given, sizes) => {
        const bytes = Buffer.concat(given.map(encodeSegment));
        const decoder = new SegmentDecoder();
        const received: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          received.push(...decoder.push(bytes.subarray(at, at + size)));
          at += size;
        }
        expect(received).toEqual(given);
      }),
    );
  });

  it.each([1, 3, 4, 5, 6])('knows after %i bytes that a segment is unfinished', (length) => {
    const decoder = new SegmentDecoder();
    decoder.push(stream.subarray(0, length));
    expect(decoder.pendingBytes).toBe(length);
  });

  it('keeps nothing of the chunk, which the socket may use again', () => {
    const chunk = Buffer.from(stream);
    const segments = new SegmentDecoder().push(chunk);
    chunk.fill(0xee);
    expect(segments).toEqual(payloads);
  });

  it('takes a segment of the largest size', () => {
    const largest = new Uint8Array(SEGMENT_BYTES_MAX).fill(1);
    const [segment] = new SegmentDecoder().push(encodeSegment(largest));
    expect(Buffer.compare(segment!, largest)).toBe(0);
  });

  it.each([SEGMENT_BYTES_MAX + 1, 0xffff_ffff])('refuses a length of %i and everything after it', (length) => {
    const decoder = new SegmentDecoder();
    expect(viciErrorOf(() => decoder.push(header(length))).code).toBe('segment-too-large');
    expect(viciErrorOf(() => decoder.push(stream)).code).toBe('segment-too-large');
  });
});

describe('encodeSegment', () => {
  it('refuses what charon would hang up on', () => {
    expect(viciErrorOf(() => encodeSegment(new Uint8Array(SEGMENT_BYTES_MAX + 1))).code).toBe('segment-too-large');
  });
});

import { describe, expect, it } from 'vitest';
import { encodeSegment, SEGMENT_BYTES_MAX, SegmentDecoder } from '../../src/vici/segment.ts';
import { viciErrorOf } from './vici-error-of.ts';

const payloads = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(9), new Uint8Array(300).fill(7)];
const stream = Buffer.concat(payloads.map(encodeSegment));
const cutPoints = Array.from({ length: stream.length + 1 }, (_unused, at) => at);

const bytesOf = (segments: readonly Uint8Array[]): number[][] => segments.map((segment) => [...segment]);

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
      expect(bytesOf(segments), `cut at byte ${cut}`).toEqual(bytesOf(payloads));
      expect(decoder.pendingBytes).toBe(0);
    }
  });

  it('cuts the same segments when every byte comes alone', () => {
    const decoder = new SegmentDecoder();
    expect(bytesOf([...stream].flatMap((byte) => decoder.push(Uint8Array.of(byte))))).toEqual(bytesOf(payloads));
  });

  it.each([1, 3, 4, 5, 6])('knows after %i bytes that a segment is unfinished', (length) => {
    const decoder = new SegmentDecoder();
    decoder.push(stream.subarray(0, length));
    expect(decoder.pendingBytes).toBe(length);
  });

  it('gives a view of what came whole, and a copy of what came in parts', () => {
    const decoder = new SegmentDecoder();
    const segment = [0, 0, 0, 3, 1, 2, 3];
    const chunk = Uint8Array.from([...segment, ...segment.slice(0, 5)]);
    const rest = Uint8Array.from(segment.slice(5));
    const segments = [...decoder.push(chunk), ...decoder.push(rest)];
    chunk.fill(0xee);
    rest.fill(0xee);
    expect(bytesOf(segments)).toEqual([
      [0xee, 0xee, 0xee],
      [1, 2, 3],
    ]);
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

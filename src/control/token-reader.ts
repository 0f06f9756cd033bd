import { FrameError } from './frame-error.ts';

/** The head of one MessagePack value; `end` is the offset behind what the head describes itself. */
export type Token =
  | { readonly kind: 'scalar'; readonly end: number }
  | { readonly kind: 'string'; readonly start: number; readonly end: number }
  | { readonly kind: 'array' | 'map'; readonly count: number; readonly end: number };

/** Payload bytes of the fixed-size values from nil (0xc0) on; what is missing (bin, ext, 0xc1) has no place in a frame. */
const SCALAR_BYTES: ReadonlyMap<number, number> = new Map([
  [0xc0, 0], // nil
  [0xc2, 0], // false
  [0xc3, 0], // true
  [0xca, 4], // float 32
  [0xcb, 8], // float 64
  [0xcc, 1], // uint 8, 16, 32, 64
  [0xcd, 2],
  [0xce, 4],
  [0xcf, 8],
  [0xd0, 1], // int 8, 16, 32, 64
  [0xd1, 2],
  [0xd2, 4],
  [0xd3, 8],
]);

interface SizedFormat {
  readonly kind: 'string' | 'array' | 'map';
  /** Bytes of the big-endian length or count behind the type byte. */
  readonly sizeBytes: 1 | 2 | 4;
}

const SIZED_FORMATS: ReadonlyMap<number, SizedFormat> = new Map([
  [0xd9, { kind: 'string', sizeBytes: 1 }],
  [0xda, { kind: 'string', sizeBytes: 2 }],
  [0xdb, { kind: 'string', sizeBytes: 4 }],
  [0xdc, { kind: 'array', sizeBytes: 2 }],
  [0xdd, { kind: 'array', sizeBytes: 4 }],
  [0xde, { kind: 'map', sizeBytes: 2 }],
  [0xdf, { kind: 'map', sizeBytes: 4 }],
]);

/**
 * Reads the head of the value at `offset`. What it returns lies inside `bytes`: a string's bytes are there, and a
 * container's count is no larger than what the bytes left could hold.
 * @throws FrameError `malformed`
 */
export function readToken(bytes: Buffer, offset: number): Token {
  const type = byteAt(bytes, offset);
  const body = offset + 1;
  if (type <= 0x7f || type >= 0xe0) return { kind: 'scalar', end: body };
  if (type <= 0x8f) return container(bytes, 'map', body, type & 0x0f);
  if (type <= 0x9f) return container(bytes, 'array', body, type & 0x0f);
  if (type <= 0xbf) return string(bytes, body, type & 0x1f);

  const scalarBytes = SCALAR_BYTES.get(type);
  if (scalarBytes !== undefined) return { kind: 'scalar', end: inside(bytes, body + scalarBytes) };

  const format = SIZED_FORMATS.get(type);
  if (format === undefined) throw new FrameError('malformed', `type 0x${type.toString(16)} at byte ${offset}`);
  const start = inside(bytes, body + format.sizeBytes);
  const size = bytes.readUIntBE(body, format.sizeBytes);
  return format.kind === 'string' ? string(bytes, start, size) : container(bytes, format.kind, start, size);
}

function string(bytes: Buffer, start: number, length: number): Token {
  return { kind: 'string', start, end: inside(bytes, start + length) };
}

function container(bytes: Buffer, kind: 'array' | 'map', end: number, count: number): Token {
  // The shortest value is one byte, so a larger count is a lie, told to make the decoder allocate.
  inside(bytes, end + count * (kind === 'map' ? 2 : 1));
  return { kind, count, end };
}

function byteAt(bytes: Buffer, offset: number): number {
  const byte = bytes[offset];
  if (byte === undefined) throw truncated(offset);
  return byte;
}

function inside(bytes: Buffer, end: number): number {
  if (end > bytes.length) throw truncated(end);
  return end;
}

function truncated(end: number): FrameError {
  return new FrameError('malformed', `ends before byte ${end}`);
}

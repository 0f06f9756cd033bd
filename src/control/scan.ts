import { isUtf8 } from 'node:buffer';
import { FrameError } from './frame-error.ts';
import { FRAME_DEPTH_MAX, FRAME_ELEMENTS_MAX, FRAME_KEYS_MAX } from './limits.ts';
import { readToken, type Token } from './token-reader.ts';

/** Longer text is checked faster by the runtime than byte by byte. */
const SHORT_TEXT_BYTES = 64;

const PROTO = '__proto__';

type Text = Extract<Token, { readonly kind: 'string' }>;

/** A map or an array whose end has not been reached. */
interface OpenContainer {
  /** Values still to come; each entry of a map is two, the key first. */
  valuesLeft: number;
  /** Keys so far; undefined for an array. */
  readonly keys: Text[] | undefined;
}

/**
 * Checks that `bytes` are exactly one MessagePack value that is safe to decode: bounded depth and number of values, no
 * bytes missing or left over, no binary or extension types, strings in valid UTF-8, map keys that are strings, few, unique
 * and not `__proto__`. Uses no recursion, and makes no text of the bytes.
 * @throws FrameError
 */
export function scanFrame(bytes: Buffer): void {
  const open: OpenContainer[] = [];
  let offset = 0;
  let elements = 0;
  do {
    const token = readToken(bytes, offset);
    elements += 1;
    if (elements > FRAME_ELEMENTS_MAX) {
      throw new FrameError('too-many-elements', `more than ${FRAME_ELEMENTS_MAX} values`);
    }
    checkText(bytes, token, offset);
    countValue(bytes, token, open.at(-1), offset);
    enter(open, token);
    leaveFinished(open);
    offset = token.end;
  } while (open.length > 0);
  if (offset !== bytes.length) {
    throw new FrameError('malformed', `${bytes.length - offset} bytes behind the frame's end`);
  }
}

/** Decoders repair bad UTF-8 in different ways, and overlong forms could smuggle in a key that was refused here. */
function checkText(bytes: Buffer, token: Token, offset: number): void {
  if (token.kind !== 'string' || isShortAscii(bytes, token)) return;
  if (!isUtf8(bytes.subarray(token.start, token.end))) {
    throw new FrameError('malformed', `text at byte ${offset} is not UTF-8`);
  }
}

/** So is nearly all text, and to ask the runtime costs ten times as much as a look. */
function isShortAscii(bytes: Buffer, { start, end }: Text): boolean {
  if (end - start > SHORT_TEXT_BYTES) return false;
  for (let at = start; at < end; at += 1) {
    if ((bytes[at] ?? 0) > 0x7f) return false;
  }
  return true;
}

function countValue(bytes: Buffer, token: Token, container: OpenContainer | undefined, offset: number): void {
  if (container === undefined) return;
  const isKey = container.keys !== undefined && container.valuesLeft % 2 === 0;
  container.valuesLeft -= 1;
  if (!isKey) return;
  if (token.kind !== 'string') throw new FrameError('malformed', `map key at byte ${offset} is not text`);
  if (isProto(bytes, token)) throw new FrameError('malformed', `map key at byte ${offset} is __proto__`);
  for (const key of container.keys) {
    if (isSameText(bytes, key, token)) throw new FrameError('malformed', `map key at byte ${offset} occurs twice`);
  }
  container.keys.push(token);
}

function isProto(bytes: Buffer, { start, end }: Text): boolean {
  return end - start === PROTO.length && bytes.toString('latin1', start, end) === PROTO;
}

function isSameText(bytes: Buffer, one: Text, other: Text): boolean {
  const length = one.end - one.start;
  if (other.end - other.start !== length) return false;
  for (let at = 0; at < length; at += 1) {
    if (bytes[one.start + at] !== bytes[other.start + at]) return false;
  }
  return true;
}

function enter(open: OpenContainer[], token: Token): void {
  if (token.kind !== 'array' && token.kind !== 'map') return;
  if (open.length === FRAME_DEPTH_MAX) {
    throw new FrameError('too-deep', `more than ${FRAME_DEPTH_MAX} maps and arrays inside each other`);
  }
  if (token.kind === 'map' && token.count > FRAME_KEYS_MAX) {
    throw new FrameError('too-many-elements', `a map of ${token.count} keys, more than ${FRAME_KEYS_MAX}`);
  }
  open.push(
    token.kind === 'map' ? { valuesLeft: token.count * 2, keys: [] } : { valuesLeft: token.count, keys: undefined },
  );
}

function leaveFinished(open: OpenContainer[]): void {
  while (open.at(-1)?.valuesLeft === 0) open.pop();
}

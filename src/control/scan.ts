import { isUtf8 } from 'node:buffer';
import { FrameError } from './frame-error.ts';
import { FRAME_DEPTH_MAX, FRAME_ELEMENTS_MAX } from './limits.ts';
import { readToken, type Token } from './token-reader.ts';

/** A map or an array whose end has not been reached. */
interface OpenContainer {
  /** Values still to come; each entry of a map is two, the key first. */
  valuesLeft: number;
  /** Keys so far; undefined for an array. */
  readonly keys: Set<string> | undefined;
}

/**
 * Checks that `bytes` are exactly one MessagePack value that is safe to decode: bounded depth and number of values, no
 * bytes missing or left over, no binary or extension types, strings in valid UTF-8, map keys that are strings, unique
 * and not `__proto__`. Uses no recursion and allocates only the keys of the maps that are open.
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
  if (token.kind === 'string' && !isUtf8(bytes.subarray(token.start, token.end))) {
    throw new FrameError('malformed', `text at byte ${offset} is not UTF-8`);
  }
}

function countValue(bytes: Buffer, token: Token, container: OpenContainer | undefined, offset: number): void {
  if (container === undefined) return;
  const isKey = container.keys !== undefined && container.valuesLeft % 2 === 0;
  container.valuesLeft -= 1;
  if (!isKey) return;
  if (token.kind !== 'string') throw new FrameError('malformed', `map key at byte ${offset} is not text`);
  const key = bytes.toString('utf8', token.start, token.end);
  if (key === '__proto__') throw new FrameError('malformed', `map key at byte ${offset} is __proto__`);
  if (container.keys.has(key)) throw new FrameError('malformed', `map key at byte ${offset} occurs twice`);
  container.keys.add(key);
}

function enter(open: OpenContainer[], token: Token): void {
  if (token.kind !== 'array' && token.kind !== 'map') return;
  if (open.length === FRAME_DEPTH_MAX) {
    throw new FrameError('too-deep', `more than ${FRAME_DEPTH_MAX} maps and arrays inside each other`);
  }
  open.push(
    token.kind === 'map'
      ? { valuesLeft: token.count * 2, keys: new Set() }
      : { valuesLeft: token.count, keys: undefined },
  );
}

function leaveFinished(open: OpenContainer[]): void {
  while (open.at(-1)?.valuesLeft === 0) open.pop();
}

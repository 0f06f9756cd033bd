import { createCodec, decode, encode } from 'msgpack-lite';
import type { z } from 'zod';
import { FrameError } from './frame-error.ts';
import { agentFrameSchema, coordinatorFrameSchema, type AgentFrame, type CoordinatorFrame } from './frames.ts';
import { FRAME_BYTES_MAX } from './limits.ts';
import { scanFrame } from './scan.ts';

/**
 * Frames to bytes and back. The only importer of msgpack-lite, whose decoder recurses without a limit
 * (CVE-2026-38357), sets `__proto__` and ignores trailing bytes: it is reached behind `scanFrame` only.
 */

/** Without the preset: no extension types, which would turn bytes into class instances. */
const plainCodec = createCodec();

/**
 * The frame as bytes. Both ends keep the same limits, so what this returns is accepted by the other.
 * @throws FrameError `too-large`, `too-many-elements` or `too-deep`
 */
export function encodeFrame(frame: AgentFrame | CoordinatorFrame): Uint8Array {
  const bytes = encode(frame, { codec: plainCodec });
  checkSize(bytes, FRAME_BYTES_MAX);
  scanFrame(bytes);
  return bytes;
}

/**
 * What a node sent. `bytesMax` is `HELLO_BYTES_MAX` until its hello was accepted.
 * @throws FrameError
 */
export function decodeAgentFrame(bytes: Uint8Array, bytesMax: number = FRAME_BYTES_MAX): AgentFrame {
  return decodeAs(agentFrameSchema, bytes, bytesMax);
}

/**
 * What the coordinator sent. A snapshot's `state` is not looked into: plain objects and arrays, yet to be checked.
 * @throws FrameError
 */
export function decodeCoordinatorFrame(bytes: Uint8Array): CoordinatorFrame {
  return decodeAs(coordinatorFrameSchema, bytes, FRAME_BYTES_MAX);
}

function decodeAs<T>(schema: z.ZodType<T>, bytes: Uint8Array, bytesMax: number): T {
  checkSize(bytes, bytesMax);
  // A Buffer, because for other arrays msgpack-lite uses a UTF-8 reader of its own.
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  scanFrame(buffer);
  const value: unknown = decode(buffer, { codec: plainCodec });
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new FrameError('invalid-frame', firstIssueOf(parsed.error));
  return parsed.data;
}

function checkSize(bytes: Uint8Array, bytesMax: number): void {
  if (bytes.byteLength > bytesMax) {
    throw new FrameError('too-large', `${bytes.byteLength} bytes, the limit is ${bytesMax}`);
  }
}

/** One issue says enough, and its text can quote the frame: both are cut. */
function firstIssueOf(error: z.ZodError): string {
  const issue = error.issues[0];
  return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'no frame'}`.slice(0, 200);
}

import {
  decodeMessage,
  encodeMessage,
  isSection,
  type ViciInput,
  type ViciSection,
  type ViciValue,
} from '../../../src/vici/message.ts';
import { decodePacket, encodePacket } from '../../../src/vici/packet.ts';
import { viciCommands, type ViciCommand } from '../../../src/vici/protocol/commands.ts';
import { readEvent, VICI_EVENTS } from '../../../src/vici/protocol/events.ts';
import { encodeRequest } from '../../../src/vici/request.ts';
import { encodeSegment, SegmentDecoder } from '../../../src/vici/segment.ts';
import { ViciError, type ViciErrorCode } from '../../../src/vici/vici-error.ts';
import { asPlainObjects } from './random-message.ts';
import type { Random } from './random.ts';
import { referenceMessage, referenceSegments } from './reference.ts';

const COMMANDS = Object.keys(viciCommands) as [ViciCommand, ...ViciCommand[]];

/** What must hold for any bytes at all; each throws an Error that says what does not. */

/** The same message as the reference reads, or `malformed-message`; nothing kept of the bytes; encoded again the same. */
export function checkMessage(bytes: Uint8Array): void {
  const expected = referenceMessage(bytes);
  const input = new Uint8Array(bytes);
  const actual = valueOr('malformed-message', () => decodeMessage(input));
  input.fill(0xee);
  if (actual === undefined || expected === undefined) {
    return demand(actual === expected, 'one decoder takes the message and the other does not');
  }
  demand(sameValue(actual, expected.root), 'the decoders read different messages');
  const again = valueOr('invalid-request', () => encodeMessage(actual));
  if (expected.isCanonical) demand(again !== undefined && sameBytes(again, bytes), 'encoded again it is different');
  else if (again !== undefined) demand(sameValue(decodeMessage(again), actual), 'decoded again it is different');
}

/** A packet whose parts are exactly the bytes, or `malformed-message`. */
export function checkPacket(bytes: Uint8Array): void {
  const packet = valueOr('malformed-message', () => decodePacket(bytes));
  demand((packet !== undefined) === isPacket(bytes), 'taken or refused against the format');
  if (packet === undefined) return;
  const isPrintable = !('name' in packet) || /^[\x20-\x7e]*$/.test(packet.name);
  const again = valueOr('invalid-request', () => encodePacket(packet));
  demand((again !== undefined) === isPrintable, 'the name is encoded or refused against the rule');
  if (again !== undefined) demand(sameBytes(again, bytes), 'encoded again it is different');
  if ('body' in packet) checkMessage(packet.body);
}

/** The payloads that the reference finds, however the stream is cut; `cuts` are sizes, the last one for the rest. */
export function checkSegments(stream: Uint8Array, cuts: readonly number[]): void {
  const expected = referenceSegments(stream);
  const decoder = new SegmentDecoder();
  const payloads: Uint8Array[] = [];
  let at = 0;
  for (const size of [...cuts, stream.length]) {
    // In memory of its own, which is used for something else afterwards.
    const chunk = Uint8Array.from(stream.subarray(at, at + size));
    at += chunk.length;
    const complete = valueOr('segment-too-large', () => decoder.push(chunk));
    const isTooLarge = expected.tooLargeAt !== undefined && at >= expected.tooLargeAt;
    demand((complete === undefined) === isTooLarge, `at byte ${at} a length is taken or refused against the limit`);
    payloads.push(...(complete ?? []).map((payload) => new Uint8Array(payload)));
    chunk.fill(0xee);
  }
  const found = payloads.every((payload, index) => sameBytes(payload, expected.payloads[index] ?? Uint8Array.of()));
  demand(found, 'a payload is different');
  if (expected.tooLargeAt !== undefined) return;
  demand(payloads.length === expected.payloads.length, 'a payload is missing or too much');
  demand(decoder.pendingBytes === expected.pendingBytes, 'the number of pending bytes is wrong');
}

/** What encodes comes back the same, also from plain objects. */
export function checkSection(section: ViciSection): void {
  const bytes = encodeMessage(section);
  demand(sameValue(referenceMessage(bytes)?.root, section), 'the reference reads something else than was encoded');
  demand(sameValue(decodeMessage(bytes), section), 'decoded it is something else than was encoded');
  demand(sameValue(decodeMessage(encodeMessage(asPlainObjects(section))), section), 'plain objects make a difference');
}

/** Bytes that can be read, or `invalid-request`; the same for the request that they are the body of. */
export function checkEncoding(input: unknown): void {
  const body = valueOr('invalid-request', () => encodeMessage(input as ViciInput));
  const request = valueOr('invalid-request', () => encodeRequest('load-conn', input as ViciInput));
  if (body === undefined || request === undefined) {
    return demand(body === request, 'the request is refused and the message is not, or the other way round');
  }
  demand(referenceMessage(body)?.isCanonical === true, 'what was encoded is no message');
  const expected = encodeSegment(encodePacket({ type: 'cmd-request', name: 'load-conn', body }));
  demand(sameBytes(request, expected), 'the request is not its parts');
}

/** As an event, as an item of a stream and as a reply: a value or `malformed-message`. */
export function checkReaders(section: ViciSection, random: Random): void {
  const event = random.pick(VICI_EVENTS);
  valueOr('malformed-message', () => readEvent(event, section));
  const command = viciCommands[random.pick(COMMANDS)];
  valueOr('malformed-message', () => command.reply(section, 'reply'));
  if ('item' in command) valueOr('malformed-message', () => command.item(section));
}

/** Equal also in the order of names. */
export function sameValue(one: ViciValue | undefined, other: ViciValue | undefined): boolean {
  if (isSection(one)) return isSection(other) && sameSection(one, other);
  if (one instanceof Uint8Array) return other instanceof Uint8Array && sameBytes(one, other);
  if (!Array.isArray(one)) return one === other;
  if (!Array.isArray(other) || one.length !== other.length) return false;
  return one.every((item: ViciValue, index) => sameValue(item, other[index]));
}

function sameSection(one: ViciSection, other: ViciSection): boolean {
  const names = [...other.keys()];
  if (one.size !== names.length) return false;
  return [...one].every(([name, value], index) => name === names[index] && sameValue(value, other.get(name)));
}

function isPacket(bytes: Uint8Array): boolean {
  const [type = 8, nameLength = Number.POSITIVE_INFINITY] = bytes;
  const nameEnd = 2 + nameLength;
  const hasName = bytes.length >= nameEnd;
  const kinds: Readonly<Record<number, boolean>> = {
    0: hasName,
    1: true,
    2: bytes.length === 1,
    3: bytes.length === nameEnd,
    4: bytes.length === nameEnd,
    5: bytes.length === 1,
    6: bytes.length === 1,
    7: hasName,
  };
  return kinds[type] ?? false;
}

/** Undefined for the one error that is allowed; what else is thrown is a failure. */
function valueOr<T>(allowed: ViciErrorCode, action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (error instanceof ViciError && error.code === allowed) return undefined;
    throw new Error(`an error that is not ${allowed}`, { cause: error });
  }
}

function sameBytes(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

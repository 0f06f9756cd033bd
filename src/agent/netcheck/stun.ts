import { addressBytes, addressOfBytes, type Endpoint } from './endpoint.ts';

/**
 * The part of STUN (RFC 8489) that tells a node how others see it: binding requests and their success responses, with
 * XOR-MAPPED-ADDRESS and nothing else. Bytes in, values out; nothing here throws on what came from the network.
 */

export const TRANSACTION_ID_BYTES = 12;

/** More than any path of ours carries in one packet, and more than a request needs. */
const DATAGRAM_BYTES_MAX = 1500;
const HEADER_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
const MAGIC_COOKIE = 0x2112_a442;

const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;
const XOR_MAPPED_ADDRESS = 0x0020;
/** From the range that a receiver skips when it does not know it, and registered to nobody. */
const PADDING = 0xffc7;
/** An attribute below this must be understood, or the message must not be acted upon. */
const OPTIONAL_FROM = 0x8000;

/** Why a datagram is not what this codec knows. */
export type StunRefusal =
  | 'too-short'
  | 'too-long'
  | 'not-stun'
  | 'wrong-length'
  | 'other-message'
  | 'broken-attribute'
  | 'unknown-attribute'
  | 'no-address';

export type StunMessage =
  | { readonly type: 'request'; readonly transactionId: Uint8Array }
  | { readonly type: 'response'; readonly transactionId: Uint8Array; readonly mapped: Endpoint }
  | { readonly type: 'refused'; readonly reason: StunRefusal };

/** Bytes of the response to a request that came from this address. */
export function responseBytesTo(address: string): number {
  return HEADER_BYTES + ATTRIBUTE_HEADER_BYTES + 4 + addressBytes(address).byteLength;
}

/**
 * A binding request, padded with one attribute that every server skips. `bytes` is the UDP payload's size: a multiple
 * of 4 from 24 to 1500; throws a RangeError otherwise.
 */
export function encodeRequest(transactionId: Uint8Array, bytes: number): Uint8Array {
  const paddingBytes = bytes - HEADER_BYTES - ATTRIBUTE_HEADER_BYTES;
  if (paddingBytes < 0 || bytes % 4 !== 0 || bytes > DATAGRAM_BYTES_MAX)
    throw new RangeError(`no request of ${bytes} bytes`);
  const datagram = headed(BINDING_REQUEST, transactionId, bytes);
  attributeAt(datagram, PADDING, paddingBytes);
  return datagram;
}

/** The success response: what the sender's endpoint looks like from here. */
export function encodeResponse(transactionId: Uint8Array, mapped: Endpoint): Uint8Array {
  const address = addressBytes(mapped.address);
  const datagram = headed(BINDING_SUCCESS, transactionId, responseBytesTo(mapped.address));
  attributeAt(datagram, XOR_MAPPED_ADDRESS, 4 + address.byteLength);
  const view = viewOf(datagram);
  const valueAt = HEADER_BYTES + ATTRIBUTE_HEADER_BYTES;
  view.setUint8(valueAt + 1, address.byteLength === 4 ? 1 : 2);
  view.setUint16(valueAt + 2, mapped.port ^ (MAGIC_COOKIE >>> 16));
  datagram.set(masked(address, datagram), valueAt + 4);
  return datagram;
}

/** Reads any datagram. Trailing and missing bytes, other methods and attributes that must be understood are refused. */
export function decodeStun(datagram: Uint8Array): StunMessage {
  if (datagram.byteLength < HEADER_BYTES) return refused('too-short');
  if (datagram.byteLength > DATAGRAM_BYTES_MAX) return refused('too-long');
  const view = viewOf(datagram);
  if (view.getUint32(4) !== MAGIC_COOKIE) return refused('not-stun');
  const bodyBytes = view.getUint16(2);
  if (bodyBytes % 4 !== 0 || bodyBytes !== datagram.byteLength - HEADER_BYTES) return refused('wrong-length');
  const type = view.getUint16(0);
  if (type !== BINDING_REQUEST && type !== BINDING_SUCCESS) return refused('other-message');
  const attributes = attributesOf(datagram);
  if (attributes === undefined) return refused('broken-attribute');
  const transactionId = datagram.slice(8, HEADER_BYTES);
  return type === BINDING_REQUEST ? request(transactionId, attributes) : response(transactionId, attributes, datagram);
}

interface Attribute {
  readonly type: number;
  readonly value: Uint8Array;
}

function request(transactionId: Uint8Array, attributes: readonly Attribute[]): StunMessage {
  if (attributes.some(({ type }) => type < OPTIONAL_FROM)) return refused('unknown-attribute');
  return { type: 'request', transactionId };
}

function response(transactionId: Uint8Array, attributes: readonly Attribute[], datagram: Uint8Array): StunMessage {
  const attribute = attributes.find(({ type }) => type === XOR_MAPPED_ADDRESS);
  if (attribute === undefined) return refused('no-address');
  const { value } = attribute;
  const addressLength = { 1: 4, 2: 16 }[value[1] ?? 0];
  if (addressLength === undefined || value.byteLength !== 4 + addressLength) return refused('broken-attribute');
  const port = viewOf(value).getUint16(2) ^ (MAGIC_COOKIE >>> 16);
  return {
    type: 'response',
    transactionId,
    mapped: { address: addressOfBytes(masked(value.subarray(4), datagram)), port },
  };
}

/** Undefined when an attribute reaches beyond the datagram. Each is at least four bytes long, so their number is bounded. */
function attributesOf(datagram: Uint8Array): readonly Attribute[] | undefined {
  const view = viewOf(datagram);
  const attributes: Attribute[] = [];
  for (let at = HEADER_BYTES; at < datagram.byteLength;) {
    const valueAt = at + ATTRIBUTE_HEADER_BYTES;
    const valueEnd = valueAt + view.getUint16(at + 2);
    if (valueEnd > datagram.byteLength) return undefined;
    attributes.push({ type: view.getUint16(at), value: datagram.subarray(valueAt, valueEnd) });
    at = valueAt + Math.ceil((valueEnd - valueAt) / 4) * 4;
  }
  return attributes;
}

/** XORed with the cookie and the transaction id, as NATs that rewrite addresses in payloads must not know it. */
function masked(address: Uint8Array, datagram: Uint8Array): Uint8Array {
  return address.map((byte, index) => byte ^ (datagram[4 + index] ?? 0));
}

function headed(type: number, transactionId: Uint8Array, bytes: number): Uint8Array {
  if (transactionId.byteLength !== TRANSACTION_ID_BYTES) throw new RangeError('a transaction id has 12 bytes');
  const datagram = new Uint8Array(bytes);
  const view = viewOf(datagram);
  view.setUint16(0, type);
  view.setUint16(2, bytes - HEADER_BYTES);
  view.setUint32(4, MAGIC_COOKIE);
  datagram.set(transactionId, 8);
  return datagram;
}

function attributeAt(datagram: Uint8Array, type: number, valueBytes: number): void {
  const view = viewOf(datagram);
  view.setUint16(HEADER_BYTES, type);
  view.setUint16(HEADER_BYTES + 2, valueBytes);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function refused(reason: StunRefusal): StunMessage {
  return { type: 'refused', reason };
}

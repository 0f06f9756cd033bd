/**
 * A question that every IKEv2 daemon must answer without any state (RFC 7296, 2.5): a header of a major version that
 * does not exist yet. charon answers INVALID_MAJOR_VERSION from its receiver, before it looks for an IKE SA, counts
 * half-open ones or begins one (`receiver.c`), and writes one line to its log. Pure.
 */

export const SPI_BYTES = 8;

const HEADER_BYTES = 28;
const NOTIFY_BYTES = 8;
/** Tells IKE from ESP on port 4500. */
const NON_ESP_MARKER_BYTES = 4;
const UNKNOWN_VERSION = 0x30;
const IKE_SA_INIT = 34;
const FLAG_INITIATOR = 0x08;
const PAYLOAD_NOTIFY = 41;
const INVALID_MAJOR_VERSION = 5;

/** Why a datagram is not the answer to a probe. */
export type IkeRefusal = 'too-short' | 'no-marker' | 'wrong-length' | 'other-version' | 'other-message';

export type IkeAnswer =
  | { readonly type: 'invalid-major-version'; readonly initiatorSpi: Uint8Array }
  | { readonly type: 'refused'; readonly reason: IkeRefusal };

/** Whether the port takes IKE behind a marker, as port 4500 does. Port 500 takes it bare. */
export interface IkeFraming {
  readonly marker: boolean;
}

/** The probe. Its SPI must be random, and not zero: charon refuses that silently. Throws a RangeError otherwise. */
export function encodeIkeProbe(initiatorSpi: Uint8Array, { marker }: IkeFraming): Uint8Array {
  if (initiatorSpi.byteLength !== SPI_BYTES || initiatorSpi.every((byte) => byte === 0)) {
    throw new RangeError('an initiator SPI has 8 bytes, not all zero');
  }
  const headerAt = marker ? NON_ESP_MARKER_BYTES : 0;
  const datagram = new Uint8Array(headerAt + HEADER_BYTES);
  const header = datagram.subarray(headerAt);
  header.set(initiatorSpi);
  header.set([0, UNKNOWN_VERSION, IKE_SA_INIT, FLAG_INITIATOR], 16);
  new DataView(header.buffer, header.byteOffset).setUint32(24, HEADER_BYTES);
  return datagram;
}

/** Reads any datagram. The caller compares the SPI, which nobody off the path can know. */
export function decodeIkeAnswer(datagram: Uint8Array, { marker }: IkeFraming): IkeAnswer {
  const headerAt = marker ? NON_ESP_MARKER_BYTES : 0;
  if (datagram.byteLength < headerAt + HEADER_BYTES + NOTIFY_BYTES) return refused('too-short');
  if (datagram.subarray(0, headerAt).some((byte) => byte !== 0)) return refused('no-marker');
  const message = datagram.subarray(headerAt);
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  if (view.getUint32(24) !== message.byteLength) return refused('wrong-length');
  if (view.getUint8(17) >> 4 !== 2) return refused('other-version');
  if (view.getUint8(16) !== PAYLOAD_NOTIFY || view.getUint16(HEADER_BYTES + 6) !== INVALID_MAJOR_VERSION) {
    return refused('other-message');
  }
  return { type: 'invalid-major-version', initiatorSpi: message.slice(0, SPI_BYTES) };
}

function refused(reason: IkeRefusal): IkeAnswer {
  return { type: 'refused', reason };
}

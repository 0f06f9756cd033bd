import { ByteReader } from './byte-reader.ts';
import { written, type ByteWriter } from './byte-writer.ts';
import { ViciError } from './vici-error.ts';

/** What a segment carries. Bodies are encoded messages; an unnamed packet without a body has nothing else. */
export type Packet =
  | { readonly type: 'cmd-request'; readonly name: string; readonly body: Uint8Array }
  | { readonly type: 'cmd-response'; readonly body: Uint8Array }
  | { readonly type: 'cmd-unknown' }
  | { readonly type: 'event-register'; readonly name: string }
  | { readonly type: 'event-unregister'; readonly name: string }
  | { readonly type: 'event-confirm' }
  | { readonly type: 'event-unknown' }
  | { readonly type: 'event'; readonly name: string; readonly body: Uint8Array };

export type PacketOf<T extends Packet['type']> = Extract<Packet, { readonly type: T }>;

/** The number on the wire is the index. */
const PACKET_TYPES = [
  'cmd-request',
  'cmd-response',
  'cmd-unknown',
  'event-register',
  'event-unregister',
  'event-confirm',
  'event-unknown',
  'event',
] as const satisfies readonly Packet['type'][];

/** Throws `invalid-request` for a name that the wire cannot carry. */
export function encodePacket(packet: Packet): Uint8Array {
  return written((writer) => {
    writePacketHead(writer, packet.type, 'name' in packet ? packet.name : undefined);
    if ('body' in packet) writer.raw(packet.body);
  });
}

/** All of a packet that stands in front of its body. */
export function writePacketHead(writer: ByteWriter, type: Packet['type'], name: string | undefined): void {
  writer.u8(PACKET_TYPES.indexOf(type));
  if (name !== undefined) writer.name(name);
}

/** Throws `malformed-message` for an unknown type, a name cut short and bytes where no body belongs. Bodies are views. */
export function decodePacket(bytes: Uint8Array): Packet {
  const reader = new ByteReader(bytes);
  const packet = readPacket(reader);
  if (!reader.done) throw new ViciError('malformed-message', `bytes after a packet of type ${packet.type}`);
  return packet;
}

function readPacket(reader: ByteReader): Packet {
  const code = reader.u8('packet type');
  const type = PACKET_TYPES[code];
  if (type === undefined) throw new ViciError('malformed-message', `packet of unknown type ${code}`);
  switch (type) {
    case 'cmd-request':
    case 'event':
      return { type, name: reader.key('packet name'), body: reader.rest() };
    case 'cmd-response':
      return { type, body: reader.rest() };
    case 'event-register':
    case 'event-unregister':
      return { type, name: reader.key('packet name') };
    case 'cmd-unknown':
    case 'event-confirm':
    case 'event-unknown':
      return { type };
  }
}

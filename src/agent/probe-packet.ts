/**
 * What goes through a path to find out whether it works: 16 bytes, and the answer as many, so that it multiplies nothing.
 * The tunnel that it goes through is what authenticates it; the number of the asking socket is random, so that nobody
 * outside of the path can answer.
 */
export type ProbePacket =
  | {
      readonly type: 'ask' | 'answer';
      /** Names the asking socket. Like the sequence unsigned, 32 bits. */
      readonly sender: number;
      readonly sequence: number;
    }
  /** Goes through the relay: the sender has given up its end of a direct IKE SA, so what is sent into it is lost. */
  | {
      readonly type: 'lost';
      /** 16 hexadecimal digits. */
      readonly initiatorSpi: string;
    };

/** UDP port on every node's mesh addresses. */
export const PROBE_PORT = 7447;

const PROBE_BYTES = 16;
const MAGIC = 0x43_59_47_31;
const TYPES = ['ask', 'answer', 'lost'] as const satisfies readonly ProbePacket['type'][];

/** The packet's bytes. */
export function encodeProbe(packet: ProbePacket): Uint8Array {
  const bytes = Buffer.alloc(PROBE_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt32BE(TYPES.indexOf(packet.type), 4);
  if (packet.type === 'lost') {
    bytes.write(packet.initiatorSpi, 8, 'hex');
  } else {
    bytes.writeUInt32BE(packet.sender, 8);
    bytes.writeUInt32BE(packet.sequence, 12);
  }
  return bytes;
}

/** Undefined for anything else. */
export function decodeProbe(bytes: Uint8Array): ProbePacket | undefined {
  if (bytes.length !== PROBE_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = TYPES[view.getUint32(4)];
  if (view.getUint32(0) !== MAGIC || type === undefined) return undefined;
  if (type === 'lost') return { type, initiatorSpi: Buffer.from(bytes.subarray(8)).toString('hex') };
  return { type, sender: view.getUint32(8), sequence: view.getUint32(12) };
}

import { encodeMessage, type ViciInput } from '../../../src/vici/message.ts';
import { encodePacket } from '../../../src/vici/packet.ts';
import { encodeSegment } from '../../../src/vici/segment.ts';
import { largeObject } from '../large-message.ts';

const ASCII_63 = 'x'.repeat(63);

/** Small messages that between them hold everything that a message can: mutations start from these. */
export const seedRequests: readonly [ViciInput, ...ViciInput[]] = [
  {},
  { version: '2', state: 'ESTABLISHED', 'child-sas': { 'net-1': { 'local-ts': ['10.0.0.0/16', '10.1.0.0/16'] } } },
  { key1: 'value1', section1: { 'sub-section': { key2: 'value2' }, list1: ['item1', 'item2'] } },
  {
    gw: {
      children: { net: { esp_proposals: [], start_action: 'trap' } },
      local: { certs: [Uint8Array.of(0x30, 0x82)] },
    },
  },
  { '': { '': '' } },
  { name: 'büro', emoji: '🦢', mixed: ['é', Uint8Array.of(0xff), ''] },
  { s: { s: { s: { s: { s: { s: {} } } } } } },
  { [ASCII_63.repeat(4)]: ASCII_63.repeat(5), [ASCII_63.slice(0, 32)]: 'at the limit of what is kept' },
];

export const seedMessages: readonly [Uint8Array, ...Uint8Array[]] = [
  encodeMessage(seedRequests[0]),
  ...seedRequests.slice(1).map((request) => encodeMessage(request)),
];

/** As `list-sa` and `ike-updown` tell of an IKE SA. */
export const seedSas: readonly Uint8Array[] = Object.entries(largeObject())
  .slice(0, 2)
  .flatMap(([name, sa]) => [encodeMessage({ [name]: sa }), encodeMessage({ up: 'yes', [name]: sa })]);

export const seedPackets: readonly [Uint8Array, ...Uint8Array[]] = [
  encodePacket({ type: 'cmd-unknown' }),
  encodePacket({ type: 'event-confirm' }),
  encodePacket({ type: 'event-register', name: 'list-sa' }),
  ...seedMessages.map((body) => encodePacket({ type: 'event', name: 'list-sa', body })),
  ...seedMessages.map((body) => encodePacket({ type: 'cmd-response', body })),
];

export const seedStreams: readonly [Uint8Array, ...Uint8Array[]] = [
  encodeSegment(new Uint8Array(0)),
  ...seedPackets.map((packet) => Buffer.concat([encodeSegment(packet), encodeSegment(Uint8Array.of(5))])),
];

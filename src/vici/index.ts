/** A client for charon's control interface (VICI). */
export {
  viciCommands,
  type ViciCallCommand,
  type ViciCommand,
  type ViciReply,
  type ViciStreamCommand,
} from './commands.ts';
export type { ViciEventMessage } from './connection.ts';
export { VICI_EVENTS, type ViciEventName } from './events.ts';
export {
  decodeMessage,
  encodeMessage,
  isSection,
  itemBytes,
  SECTION_DEPTH_MAX,
  VALUE_BYTES_MAX,
  type ViciItem,
  type ViciSection,
  type ViciValue,
} from './message.ts';
export { NAME_BYTES_MAX } from './name.ts';
export { decodePacket, encodePacket, type Packet } from './packet.ts';
export { encodeSegment, SEGMENT_BYTES_MAX, SegmentDecoder } from './segment.ts';
export {
  LISTS_MAX,
  SLOW_COMMANDS_MAX,
  ViciSession,
  type ViciCallOptions,
  type ViciSessionOptions,
  type ViciSubscribeOptions,
} from './session.ts';
export type { ViciSubscription } from './subscription.ts';
export { VICI_ERROR_CODES, ViciError, type ViciErrorCode, type ViciErrorOptions } from './vici-error.ts';

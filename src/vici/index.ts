/**
 * A client for VICI, the control interface of strongSwan's charon. Begin with {@link ViciClient}; docs/vici.md is the
 * guide.
 */
export type { ViciClientEvent, ViciResync } from './client-events.ts';
export { ViciClient, type ViciClientOptions, type ViciOutage } from './client.ts';
export { QUEUE_MAX } from './connection.ts';
export type { ViciAddress } from './dial.ts';
export {
  decodeMessage,
  encodeMessage,
  isSection,
  itemBytes,
  SECTION_DEPTH_MAX,
  VALUE_BYTES_MAX,
  type ViciInput,
  type ViciInputItem,
  type ViciInputValue,
  type ViciItem,
  type ViciSection,
  type ViciValue,
} from './message.ts';
export { NAME_BYTES_MAX } from './name.ts';
export { decodePacket, encodePacket, type Packet } from './packet.ts';
export {
  viciCommands,
  type ViciCallCommand,
  type ViciCommand,
  type ViciItemOf,
  type ViciLane,
  type ViciReply,
  type ViciStreamCommand,
} from './protocol/commands.ts';
export {
  readEvent,
  VICI_EVENTS,
  type ViciAlert,
  type ViciChildRekey,
  type ViciEvent,
  type ViciEventBodies,
  type ViciEventName,
  type ViciIkeRekey,
  type ViciIkeUpdate,
  type ViciLogLine,
  type ViciUpdown,
} from './protocol/events.ts';
export type { ViciAuthority, ViciCert, ViciConn, ViciConnAuth, ViciConnChild, ViciPolicy } from './protocol/lists.ts';
export type {
  ViciAction,
  ViciAuthConfig,
  ViciCertSource,
  ViciChildConfig,
  ViciConnConfig,
  ViciDuration,
  ViciLoadConn,
} from './protocol/load-conn.ts';
export type {
  ViciAuthorityNames,
  ViciByPriority,
  ViciConnNames,
  ViciCounters,
  ViciKeyIds,
  ViciLease,
  ViciLoadedKey,
  ViciMatched,
  ViciPool,
  ViciStats,
  ViciTerminated,
  ViciVersion,
} from './protocol/replies.ts';
export type {
  ViciAuthorityConfig,
  ViciByName,
  ViciCountersOf,
  ViciFlushCerts,
  ViciGetPools,
  ViciInitiate,
  ViciInstall,
  ViciListCerts,
  ViciListConns,
  ViciListPolicies,
  ViciListSas,
  ViciLoadAuthority,
  ViciLoadCert,
  ViciLoadKey,
  ViciLoadPool,
  ViciLoadShared,
  ViciLoadToken,
  ViciNoArguments,
  ViciPoolConfig,
  ViciRedirect,
  ViciRekey,
  ViciRequest,
  ViciRequests,
  ViciSaSelector,
  ViciTerminate,
  ViciUnloadById,
  ViciUnloadByName,
} from './protocol/requests.ts';
export type { ViciChildSa, ViciIkeSa, ViciSaAlgorithms } from './protocol/sas.ts';
export { encodeRequest } from './request.ts';
export type { SaMap, SaStep } from './sa-table.ts';
export { encodeSegment, SEGMENT_BYTES_MAX, SegmentDecoder } from './segment.ts';
export {
  BULK_COMMANDS_MAX,
  SLOW_COMMANDS_MAX,
  ViciSession,
  type ViciCallOptions,
  type ViciRawCallOptions,
  type ViciSessionLimits,
  type ViciSessionOptions,
  type ViciSubscribeOptions,
} from './session.ts';
export type { ViciSubscription } from './subscription.ts';
export { VICI_ERROR_CODES, ViciError, type ViciErrorCode, type ViciErrorOptions } from './vici-error.ts';
export type { SaChange, WatchSasOptions } from './watch-sas.ts';

import type {
  viciCommands,
  ViciCallCommand,
  ViciCommand,
  ViciEvent,
  ViciEventName,
  ViciItemOf,
  ViciReply,
  ViciRequests,
  ViciStreamCommand,
} from '../../src/vici/index.ts';

/** What the generic types stand for, per command and event: the reference's tables show the compiler's answer. */
export type Lanes = { [C in ViciCommand]: (typeof viciCommands)[C]['lane'] };
export type Requests = ViciRequests;
export type Replies = { [C in ViciCallCommand]: ViciReply<C> };
export type StreamedEvents = { [C in ViciStreamCommand]: (typeof viciCommands)[C]['event'] };
export type Items = { [C in ViciStreamCommand]: ViciItemOf<C> };
export type Bodies = { [E in ViciEventName]: BodyOf<E, ViciEvent> };

/** `never` for what comes only in the stream of a command. */
type BodyOf<E extends ViciEventName, V> = V extends ViciEvent ? (E extends V['name'] ? V['body'] : never) : never;

import type { ViciSection, ViciValue } from '../message.ts';
import { ViciError } from '../vici-error.ts';
import { logLine, type ViciEventName } from './events.ts';
import { authority, cert, conn, policy } from './lists.ts';
import { sectionOf, text, type Reader } from './reader.ts';
import * as replies from './replies.ts';
import type { ViciRequests } from './requests.ts';
import { soleIkeSa } from './sas.ts';

/**
 * How a command is sent. `quick`: answered at once, so it shares one connection with the others and keeps their order.
 * `bulk`: answered at once too, but at length, and an answer above 512 KiB charon drops without a word; gets a
 * connection of its own, so that only it is lost then. `slow`: may wait for a peer, an IKE SA in use, DNS or a token.
 */
export type ViciLane = 'quick' | 'bulk' | 'slow';

/** What the session has to know of a command. */
interface CommandSpec {
  readonly lane: ViciLane;
  readonly reply: Reader<unknown>;
}

/** Of one that streams: the event, and how to read it. */
interface StreamSpec extends CommandSpec {
  readonly lane: Exclude<ViciLane, 'quick'>;
  readonly event: ViciEventName;
  readonly item: (body: ViciSection) => unknown;
}

const success = sectionOf<{ readonly success: string }>({ success: text });
/** Done: that it worked is all there is to say. */
const done: Reader<void> = (reply, at) => void success(reply, at);
/** The answer behind a list is empty. */
const listed: Reader<void> = () => undefined;

/** The 36 commands of charon's VICI plugin, the same from 5.9.8 to 6.0.6; the key is the wire name. */
export const viciCommands = {
  version: { lane: 'quick', reply: replies.version },
  stats: { lane: 'quick', reply: replies.stats },
  'reload-settings': { lane: 'slow', reply: done },

  initiate: { lane: 'slow', reply: done, event: 'control-log', item: logLine },
  terminate: { lane: 'slow', reply: replies.terminated, event: 'control-log', item: logLine },
  rekey: { lane: 'slow', reply: replies.matched },
  redirect: { lane: 'slow', reply: replies.matched },
  install: { lane: 'slow', reply: done },
  uninstall: { lane: 'slow', reply: done },

  'list-sas': { lane: 'bulk', reply: listed, event: 'list-sa', item: soleIkeSa },
  'list-policies': { lane: 'bulk', reply: listed, event: 'list-policy', item: policy },
  'list-conns': { lane: 'bulk', reply: listed, event: 'list-conn', item: conn },
  'list-certs': { lane: 'bulk', reply: listed, event: 'list-cert', item: cert },
  'list-authorities': { lane: 'bulk', reply: listed, event: 'list-authority', item: authority },

  'load-conn': { lane: 'quick', reply: done },
  'unload-conn': { lane: 'quick', reply: done },
  'get-conns': { lane: 'bulk', reply: replies.connNames },

  'load-cert': { lane: 'quick', reply: done },
  'load-key': { lane: 'quick', reply: replies.loadedKey },
  'unload-key': { lane: 'quick', reply: done },
  'get-keys': { lane: 'bulk', reply: replies.keyIds },
  'load-token': { lane: 'slow', reply: replies.loadedKey },
  'load-shared': { lane: 'quick', reply: done },
  'unload-shared': { lane: 'quick', reply: done },
  'get-shared': { lane: 'bulk', reply: replies.keyIds },
  'flush-certs': { lane: 'quick', reply: done },
  'clear-creds': { lane: 'quick', reply: done },

  'load-authority': { lane: 'quick', reply: done },
  'unload-authority': { lane: 'quick', reply: done },
  'get-authorities': { lane: 'bulk', reply: replies.authorityNames },

  'load-pool': { lane: 'quick', reply: done },
  'unload-pool': { lane: 'quick', reply: done },
  'get-pools': { lane: 'bulk', reply: replies.pools },

  'get-algorithms': { lane: 'quick', reply: replies.algorithms },
  'get-counters': { lane: 'bulk', reply: replies.counters },
  'reset-counters': { lane: 'quick', reply: done },
} as const satisfies { readonly [C in keyof ViciRequests]: CommandSpec | StreamSpec };

/** Wire name of a command. */
export type ViciCommand = keyof typeof viciCommands;
/** Commands that stream items before their answer. */
export type ViciStreamCommand = {
  [C in ViciCommand]: (typeof viciCommands)[C] extends { readonly event: ViciEventName } ? C : never;
}[ViciCommand];
/** Commands whose answer is the result; of those that also stream a log, the log is left out. */
export type ViciCallCommand = Exclude<ViciCommand, `list-${string}`>;
/** What a call of the command resolves to. */
export type ViciReply<C extends ViciCommand> = ReturnType<(typeof viciCommands)[C]['reply']>;
/** What a stream of the command yields. */
export type ViciItemOf<C extends ViciStreamCommand> = ReturnType<(typeof viciCommands)[C]['item']>;

/** How the session handles a streaming command. */
export function streamSpecOf<C extends ViciStreamCommand>(command: C): StreamSpec & ItemReader<C> {
  return viciCommands[command] as StreamSpec & ItemReader<C>;
}

interface ItemReader<C extends ViciStreamCommand> {
  readonly item: (body: ViciSection) => ViciItemOf<C>;
}

/**
 * What a reply means. Whatever the command, `success = no` becomes `command-failed` with charon's own text, and the
 * reply as its `reply`; one that does not fit is `malformed-message`.
 */
export function readReply<C extends ViciCommand>(command: C, reply: ViciSection): ViciReply<C> {
  if (reply.get('success') === 'no') {
    throw new ViciError('command-failed', textOf(reply.get('errmsg')) ?? 'no reason given', { command, reply });
  }
  return viciCommands[command].reply(reply, 'reply') as ViciReply<C>;
}

/** charon's messages quote identities and names in whatever encoding they have. */
function textOf(value: ViciValue | undefined): string | undefined {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('latin1');
  return typeof value === 'string' ? value : undefined;
}

import { z } from 'zod';
import type { ViciEventName } from './events.ts';
import { countText, sectionOf } from './reply.ts';

/** What the session has to know of a command. */
interface CommandSpec {
  /**
   * `quick`: answered at once, so it shares one connection with the others and keeps their order.
   * `slow`: may wait for a peer, an IKE_SA in use, DNS or a token, or its reply may outgrow a segment, which charon
   * then drops; gets a connection of its own. `list`: the same, and its result is the streamed events.
   */
  readonly lane: 'quick' | 'slow' | 'list';
  /** What it streams to a connection that has registered for it. */
  readonly event?: ViciEventName;
  readonly reply: z.ZodType;
}

const outcome = sectionOf({ success: z.literal('yes') });
const matched = sectionOf({ success: z.literal('yes'), matches: countText });
const loadedKey = sectionOf({
  success: z.literal('yes'),
  /** Hex SHA-1 of the public key. */
  id: z.string(),
});
/** The answer behind a stream says nothing. */
const endOfList = sectionOf({});
const names = z.array(z.string());
const byPriority = sectionOf({ critical: countText, high: countText, medium: countText, low: countText });

/** The 36 commands of charon's VICI plugin, 5.9.8 to 6.0; the key is the wire name. */
export const viciCommands = {
  version: {
    lane: 'quick',
    reply: sectionOf({
      daemon: z.string(),
      version: z.string(),
      sysname: z.string(),
      release: z.string(),
      machine: z.string(),
    }),
  },
  stats: {
    lane: 'quick',
    reply: sectionOf({
      uptime: sectionOf({
        running: z.string(),
        /** Start of the daemon as text in its local time; another text means another process. */
        since: z.string(),
      }),
      workers: sectionOf({ total: countText, idle: countText, active: byPriority }),
      queues: byPriority,
      scheduled: countText,
      ikesas: sectionOf({ total: countText, 'half-open': countText }),
      plugins: names,
    }),
  },
  'reload-settings': { lane: 'slow', reply: outcome },

  initiate: { lane: 'slow', event: 'control-log', reply: outcome },
  terminate: {
    lane: 'slow',
    event: 'control-log',
    reply: sectionOf({ success: z.literal('yes'), matches: countText, terminated: countText }),
  },
  rekey: { lane: 'slow', reply: matched },
  redirect: { lane: 'slow', reply: matched },
  install: { lane: 'slow', reply: outcome },
  uninstall: { lane: 'slow', reply: outcome },

  'list-sas': { lane: 'list', event: 'list-sa', reply: endOfList },
  'list-policies': { lane: 'list', event: 'list-policy', reply: endOfList },
  'list-conns': { lane: 'list', event: 'list-conn', reply: endOfList },
  'list-certs': { lane: 'list', event: 'list-cert', reply: endOfList },
  'list-authorities': { lane: 'list', event: 'list-authority', reply: endOfList },

  'load-conn': { lane: 'quick', reply: outcome },
  'unload-conn': { lane: 'quick', reply: outcome },
  'get-conns': { lane: 'quick', reply: sectionOf({ conns: names }) },

  'load-cert': { lane: 'quick', reply: outcome },
  'load-key': { lane: 'quick', reply: loadedKey },
  'unload-key': { lane: 'quick', reply: outcome },
  'get-keys': { lane: 'quick', reply: sectionOf({ keys: names }) },
  'load-token': { lane: 'slow', reply: loadedKey },
  'load-shared': { lane: 'quick', reply: outcome },
  'unload-shared': { lane: 'quick', reply: outcome },
  'get-shared': { lane: 'quick', reply: sectionOf({ keys: names }) },
  'flush-certs': { lane: 'quick', reply: outcome },
  'clear-creds': { lane: 'quick', reply: outcome },

  'load-authority': { lane: 'quick', reply: outcome },
  'unload-authority': { lane: 'quick', reply: outcome },
  'get-authorities': { lane: 'quick', reply: sectionOf({ authorities: names }) },

  'load-pool': { lane: 'quick', reply: outcome },
  'unload-pool': { lane: 'quick', reply: outcome },
  'get-pools': {
    lane: 'slow',
    /** By name of the pool; `leases` only when asked for. */
    reply: z.map(
      z.string(),
      sectionOf({
        base: z.string(),
        size: countText,
        online: countText,
        offline: countText,
        leases: z
          .map(z.string(), sectionOf({ address: z.string(), identity: z.string(), status: z.string() }))
          .exactOptional(),
      }),
    ),
  },

  'get-algorithms': {
    lane: 'quick',
    /** Kind of algorithm, then algorithm, then the plugin that has it. */
    reply: z.map(z.string(), z.map(z.string(), z.string())),
  },
  'get-counters': {
    lane: 'slow',
    /** By connection; the empty name holds the global counters. */
    reply: sectionOf({ counters: z.map(z.string(), z.map(z.string(), countText)) }),
  },
  'reset-counters': { lane: 'quick', reply: outcome },
} as const satisfies Record<string, CommandSpec>;

type Table = typeof viciCommands;

export type ViciCommand = keyof Table;
/** Commands whose answer is the result. */
export type ViciCallCommand = { [C in ViciCommand]: Table[C]['lane'] extends 'list' ? never : C }[ViciCommand];
/** Commands that stream events before their answer. */
export type ViciStreamCommand = {
  [C in ViciCommand]: Table[C] extends { readonly event: ViciEventName } ? C : never;
}[ViciCommand];
/** What a call of the command resolves to. */
export type ViciReply<C extends ViciCommand> = z.output<Table[C]['reply']>;

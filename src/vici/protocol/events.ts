import { isSection, type ViciSection } from '../message.ts';
import { ViciError } from '../vici-error.ts';
import {
  authority,
  cert,
  conn,
  policy,
  type ViciAuthority,
  type ViciCert,
  type ViciConn,
  type ViciPolicy,
} from './lists.ts';
import { flag, integer, optional, sectionOf, soleSection, text } from './reader.ts';
import { childSa, ikeSaAlone, soleIkeSa, ikeSa, type ViciChildSa, type ViciIkeSa } from './sas.ts';

/**
 * All events of charon's VICI plugin. `control-log` and `list-*` are sent only while the command runs that they belong
 * to, and only to the connection that asked; a subscription to them stays silent. `alert` exists since 6.0.3.
 */
export const VICI_EVENTS = [
  'log',
  'control-log',
  'list-sa',
  'list-policy',
  'list-conn',
  'list-cert',
  'list-authority',
  'ike-updown',
  'ike-rekey',
  'ike-update',
  'child-updown',
  'child-rekey',
  'alert',
] as const;
/** Wire name of an event. */
export type ViciEventName = (typeof VICI_EVENTS)[number];

/** A line of charon's log, as `log` and `control-log` bring it. */
export interface ViciLogLine {
  /** Subsystem: `IKE`, `CFG`, `NET`, … */
  readonly group: string;
  /** 0 and 1 in `log`, whatever the official README of 5.9.8 says; up to the asked-for `loglevel` in `control-log`. */
  readonly level: number;
  /** Number of the worker thread; `log` only. */
  readonly thread?: number | undefined;
  /** Connection of the IKE SA that it is about, if any. */
  readonly 'ikesa-name'?: string | undefined;
  /** Unique id of that IKE SA. (The official README calls the key `ikesa-uniqued`.) */
  readonly 'ikesa-uniqueid'?: number | undefined;
  /** The text. */
  readonly msg: string;
}

/**
 * An IKE SA or CHILD SA came up or went down. An attempt that fails sends nothing, and no SA that was replaced by
 * rekeying is reported down afterwards. An IKE SA goes down before its CHILD SAs do, each of which has its own event.
 */
export interface ViciUpdown {
  /** The only trustworthy sign: when an SA goes down its state may still be ESTABLISHED or INSTALLED. */
  readonly up: boolean;
  /** In `child-updown` with just the CHILD SA that it is about, in `ike-updown` without any. */
  readonly ikeSa: ViciIkeSa;
}

/** An IKE SA was replaced. Its CHILD SAs go over to the new one, without an event of their own. */
export interface ViciIkeRekey {
  /** Name of the connection. */
  readonly name: string;
  /** The replaced one; no further event will tell of its end. */
  readonly old: ViciIkeSa;
  /** The one that counts now. */
  readonly new: ViciIkeSa;
}

/** The addresses that an IKE SA is about to have: MOBIKE, or a NAT that gave the peer another port. */
export interface ViciIkeUpdate {
  /** The new one; so with the other three. */
  readonly 'local-host': string;
  /** UDP port. */
  readonly 'local-port': number;
  /** The new one. */
  readonly 'remote-host': string;
  /** UDP port. */
  readonly 'remote-port': number;
  /** With the old addresses; `(unnamed)` while a responder has not chosen a connection yet. */
  readonly ikeSa: ViciIkeSa;
}

/** A CHILD SA was replaced. */
export interface ViciChildRekey {
  /** Without CHILD SAs. */
  readonly ikeSa: ViciIkeSa;
  /** The replaced one; no further event will tell of its end. */
  readonly old: ViciChildSa;
  /** The one that counts now. */
  readonly new: ViciChildSa;
}

/** Something that charon takes for worth a warning. Since 6.0.3. */
export interface ViciAlert {
  /** Such as `peer-auth-failed`, `half-open-timeout`, `proposal-mismatch-ike`, `ts-mismatch`; the README lists them. */
  readonly type: string;
  /** The IKE SA that it is about, if it is about one; without CHILD SAs. */
  readonly ikeSa?: ViciIkeSa | undefined;
}

/**
 * What each event carries. `control-log` and `list-*` come while their command runs and to the connection that runs it,
 * so {@link ViciSession.stream} yields them and a subscription never does.
 */
export interface ViciEventBodies {
  /** Each line of the log. */
  readonly log: ViciLogLine;
  /** Each line of the log that is about the SA of a waiting `initiate` or `terminate`. */
  readonly 'control-log': ViciLogLine;
  /** An item of `list-sas`. */
  readonly 'list-sa': ViciIkeSa;
  /** An item of `list-policies`. */
  readonly 'list-policy': ViciPolicy;
  /** An item of `list-conns`. */
  readonly 'list-conn': ViciConn;
  /** An item of `list-certs`. */
  readonly 'list-cert': ViciCert;
  /** An item of `list-authorities`. */
  readonly 'list-authority': ViciAuthority;
  /** An IKE SA was established, or one that was went down. */
  readonly 'ike-updown': ViciUpdown;
  /** An IKE SA was replaced by rekeying; reauthentication shows as a new one up and the old one down. */
  readonly 'ike-rekey': ViciIkeRekey;
  /** An IKE SA is about to change an address or a port. */
  readonly 'ike-update': ViciIkeUpdate;
  /** A CHILD SA was installed, or one that was went down. */
  readonly 'child-updown': ViciUpdown;
  /** A CHILD SA was replaced by rekeying. */
  readonly 'child-rekey': ViciChildRekey;
  /** charon warns of something. Since 6.0.3. */
  readonly alert: ViciAlert;
}

/** An event: which one, and what it says. */
export type ViciEvent = {
  [E in ViciEventName]: { readonly name: E; readonly body: ViciEventBodies[E] };
}[ViciEventName];

const logFields = sectionOf<ViciLogLine>({
  group: text,
  level: integer,
  thread: optional(integer),
  'ikesa-name': optional(text),
  'ikesa-uniqueid': optional(integer),
  msg: text,
});

const addresses = sectionOf<Omit<ViciIkeUpdate, 'ikeSa'>>({
  'local-host': text,
  'local-port': integer,
  'remote-host': text,
  'remote-port': integer,
});

/** Reads a log line, of `log` and of `control-log`. */
export function logLine(body: ViciSection): ViciLogLine {
  return logFields(body, 'the log line');
}

const bodies: { readonly [E in ViciEventName]: (body: ViciSection) => ViciEventBodies[E] } = {
  log: logLine,
  'control-log': logLine,
  'list-sa': soleIkeSa,
  'list-policy': policy,
  'list-conn': conn,
  'list-cert': cert,
  'list-authority': authority,
  'ike-updown': updown,
  'ike-rekey': ikeRekey,
  'ike-update': ikeUpdate,
  'child-updown': updown,
  'child-rekey': childRekey,
  alert,
};

/** What an event says. Throws `malformed-message` for a name that nobody subscribed to and a body that does not fit. */
export function readEvent(name: string, body: ViciSection): ViciEvent {
  if (!isEventName(name)) throw new ViciError('malformed-message', `there is no event ${name}`);
  return { name, body: bodies[name](body) } as ViciEvent;
}

function isEventName(name: string): name is ViciEventName {
  return Object.hasOwn(bodies, name);
}

function updown(body: ViciSection): ViciUpdown {
  const up = body.get('up');
  // A connection of the name `up` hides the flag: then nothing is claimed to be up, and others' events go on.
  return { up: !isSection(up) && flag(up, 'up'), ikeSa: soleIkeSa(body) };
}

function ikeUpdate(body: ViciSection): ViciIkeUpdate {
  return { ...addresses(body, 'ike-update'), ikeSa: soleIkeSa(body) };
}

function ikeRekey(body: ViciSection): ViciIkeRekey {
  const [name, both] = soleSection(body, 'ike-rekey');
  return { name, old: ikeSa(both.get('old'), name), new: ikeSa(both.get('new'), name) };
}

/** The section under `child-sas` is named by the child alone, and holds `old` and `new`. */
function childRekey(body: ViciSection): ViciChildRekey {
  const [name, ike] = soleSection(body, 'child-rekey');
  const [, both] = soleSection(ike.get('child-sas'), 'child-sas');
  return {
    ikeSa: ikeSaAlone(ike, name),
    old: childSa(both.get('old'), 'old'),
    new: childSa(both.get('new'), 'new'),
  };
}

function alert(body: ViciSection): ViciAlert {
  const about = body.get('ike-sa');
  return { type: text(body.get('type'), 'type'), ikeSa: isSection(about) ? soleIkeSa(about) : undefined };
}

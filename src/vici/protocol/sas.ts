import type { ViciValue } from '../message.ts';
import { flag, integer, mapOf, namedSectionOf, optional, sectionOf, sole, text, texts } from './reader.ts';

/** What both kinds of SA say of the algorithms that they use. Absent until they are negotiated. */
export interface ViciSaAlgorithms {
  /** Such as `AES_GCM_16`. */
  readonly 'encr-alg'?: string | undefined;
  /** Bits. */
  readonly 'encr-keysize'?: number | undefined;
  /** Absent with AEAD algorithms. */
  readonly 'integ-alg'?: string | undefined;
  /** Bits. */
  readonly 'integ-keysize'?: number | undefined;
  /** Such as `CURVE_25519`; absent of a CHILD SA that came with its IKE SA, which needs no exchange of its own. */
  readonly 'dh-group'?: string | undefined;
  /** Additional key exchange. Since 6.0.0. */
  readonly ake1?: string | undefined;
  /** See `ake1`. */
  readonly ake2?: string | undefined;
  /** See `ake1`. */
  readonly ake3?: string | undefined;
  /** See `ake1`. */
  readonly ake4?: string | undefined;
  /** See `ake1`. */
  readonly ake5?: string | undefined;
  /** See `ake1`. */
  readonly ake6?: string | undefined;
  /** See `ake1`. */
  readonly ake7?: string | undefined;
}

/**
 * A CHILD SA. What it uses and counts is there in the states INSTALLED, REKEYING, REKEYED, DELETING and DELETED only.
 * The official README lists a `prf-alg`, which there is none of (vici_query.c).
 */
export interface ViciChildSa extends ViciSaAlgorithms {
  /** Name of its configuration. */
  readonly name: string;
  /** Counts from 1 with each start of charon, apart from those of the IKE SAs; never used twice in between. */
  readonly uniqueid: number;
  /** Shared by the CHILD SAs that follow each other by rekeying. 0 until it is installed. */
  readonly reqid: number;
  /** `CREATED`, `ROUTED`, `INSTALLING`, `INSTALLED`, `UPDATING`, `REKEYING`, `REKEYED`, `RETRYING`, `DELETING`, … */
  readonly state: string;
  /** `TUNNEL`, `TRANSPORT`, `BEET`, `PASS`, `DROP`; `IPTFS` since 6.0.2. */
  readonly mode: string;
  /** Security label, in hex. */
  readonly label?: string | undefined;
  /** `ESP` or `AH`. */
  readonly protocol?: string | undefined;
  /** ESP goes in UDP. */
  readonly encap: boolean;
  /** Eight hex digits. */
  readonly 'spi-in'?: string | undefined;
  /** Eight hex digits. */
  readonly 'spi-out'?: string | undefined;
  /** Four hex digits; with IPComp only. */
  readonly 'cpi-in'?: string | undefined;
  /** Four hex digits; with IPComp only. */
  readonly 'cpi-out'?: string | undefined;
  /** Eight hex digits. */
  readonly 'mark-in'?: string | undefined;
  /** Eight hex digits; absent when all ones. */
  readonly 'mark-mask-in'?: string | undefined;
  /** Eight hex digits. */
  readonly 'mark-out'?: string | undefined;
  /** Eight hex digits; absent when all ones. */
  readonly 'mark-mask-out'?: string | undefined;
  /** Eight hex digits. */
  readonly 'if-id-in'?: string | undefined;
  /** Eight hex digits. */
  readonly 'if-id-out'?: string | undefined;
  /** One of several SAs, one for each CPU. Since 6.0.2. */
  readonly 'per-cpu-sas': boolean;
  /** Which CPU. Since 6.0.2. */
  readonly cpu?: number | undefined;
  /** Extended sequence numbers. */
  readonly esn: boolean;
  /** Bytes received; as old as the last question to the kernel, so it may stand still in events. */
  readonly 'bytes-in'?: number | undefined;
  /** Packets received. */
  readonly 'packets-in'?: number | undefined;
  /** Seconds since the last packet came in; absent when none has. */
  readonly 'use-in'?: number | undefined;
  /** Bytes sent. */
  readonly 'bytes-out'?: number | undefined;
  /** Packets sent. */
  readonly 'packets-out'?: number | undefined;
  /** Seconds since the last packet went out; absent when none has. */
  readonly 'use-out'?: number | undefined;
  /** Seconds until rekeying, below 0 when it is late; absent without rekeying. */
  readonly 'rekey-time'?: number | undefined;
  /** Seconds until it ends; absent without limit. */
  readonly 'life-time'?: number | undefined;
  /** Seconds since it was installed. */
  readonly 'install-time'?: number | undefined;
  /** The own traffic selectors, as `10.1.0.0/24` or `10.1.0.0/24[tcp/http]`. */
  readonly 'local-ts': readonly string[];
  /** The peer's traffic selectors. */
  readonly 'remote-ts': readonly string[];
}

/** An IKE SA. */
export interface ViciIkeSa extends ViciSaAlgorithms {
  /** Name of its connection; `(unnamed)` when a responder has not chosen one yet. */
  readonly name: string;
  /** Counts from 1 with each start of charon; never used twice in between. A rekeyed SA has a new one. */
  readonly uniqueid: number;
  /** 1 or 2. */
  readonly version: number;
  /**
   * `CREATED`, `CONNECTING`, `ESTABLISHED`, `PASSIVE`, `REKEYING`, `REKEYED`, `DELETING`, … A mediated SA stays in
   * `CREATED`, with both hosts `%any`, while it waits and also for ever after it has failed: there is no event for that.
   */
  readonly state: string;
  /** An address, or `%any`. */
  readonly 'local-host': string;
  /** UDP port. */
  readonly 'local-port': number;
  /** IKE identity. Bytes that are no UTF-8 show as U+FFFD. */
  readonly 'local-id': string;
  /** An address, or `%any`. */
  readonly 'remote-host': string;
  /** UDP port. */
  readonly 'remote-port': number;
  /** IKE identity; `%any` until the peer has told it. */
  readonly 'remote-id': string;
  /** Only where it differs from `remote-id`, IKEv1. */
  readonly 'remote-xauth-id'?: string | undefined;
  /** Only where it differs from `remote-id`, IKEv2. */
  readonly 'remote-eap-id'?: string | undefined;
  /** This side began it. */
  readonly initiator: boolean;
  /** Sixteen hex digits; the same at both ends. */
  readonly 'initiator-spi': string;
  /** Sixteen hex digits; zeros until the responder has answered. */
  readonly 'responder-spi': string;
  /** This side is behind a NAT. */
  readonly 'nat-local': boolean;
  /** The peer is behind a NAT. */
  readonly 'nat-remote': boolean;
  /** A NAT was faked, to have ESP in UDP. */
  readonly 'nat-fake': boolean;
  /** Any of the three. */
  readonly 'nat-any': boolean;
  /** Eight hex digits. */
  readonly 'if-id-in'?: string | undefined;
  /** Eight hex digits. */
  readonly 'if-id-out'?: string | undefined;
  /** Such as `PRF_HMAC_SHA2_256`. */
  readonly 'prf-alg'?: string | undefined;
  /** A postquantum preshared key was used. */
  readonly ppk: boolean;
  /** Seconds since it was established; absent unless the state is ESTABLISHED. */
  readonly established?: number | undefined;
  /** Seconds until rekeying; absent unless ESTABLISHED, and without rekeying. */
  readonly 'rekey-time'?: number | undefined;
  /** Seconds until reauthentication; absent unless ESTABLISHED, and without it. */
  readonly 'reauth-time'?: number | undefined;
  /** Virtual addresses of this side. */
  readonly 'local-vips': readonly string[];
  /** Virtual addresses given to the peer. */
  readonly 'remote-vips': readonly string[];
  /** Tasks that wait, such as `IKE_MOBIKE`. */
  readonly 'tasks-queued': readonly string[];
  /** Tasks under way that this side began. */
  readonly 'tasks-active': readonly string[];
  /** Tasks under way that the peer began. */
  readonly 'tasks-passive': readonly string[];
  /**
   * By `<name>-<uniqueid>`. In `ike-updown`, `ike-update` and `ike-rekey` always empty; in `child-updown` the one that
   * it is about.
   */
  readonly 'child-sas': ReadonlyMap<string, ViciChildSa>;
}

const algorithms = {
  'encr-alg': optional(text),
  'encr-keysize': optional(integer),
  'integ-alg': optional(text),
  'integ-keysize': optional(integer),
  'dh-group': optional(text),
  ake1: optional(text),
  ake2: optional(text),
  ake3: optional(text),
  ake4: optional(text),
  ake5: optional(text),
  ake6: optional(text),
  ake7: optional(text),
};

/** `1` where others say `yes`. */
const esn = (value: ViciValue | undefined): boolean => value === '1';

/** Reads a CHILD SA. */
export const childSa = sectionOf<ViciChildSa>({
  name: text,
  uniqueid: integer,
  reqid: integer,
  state: text,
  mode: text,
  label: optional(text),
  protocol: optional(text),
  encap: flag,
  'spi-in': optional(text),
  'spi-out': optional(text),
  'cpi-in': optional(text),
  'cpi-out': optional(text),
  'mark-in': optional(text),
  'mark-mask-in': optional(text),
  'mark-out': optional(text),
  'mark-mask-out': optional(text),
  'if-id-in': optional(text),
  'if-id-out': optional(text),
  'per-cpu-sas': flag,
  cpu: optional(integer),
  esn,
  'bytes-in': optional(integer),
  'packets-in': optional(integer),
  'use-in': optional(integer),
  'bytes-out': optional(integer),
  'packets-out': optional(integer),
  'use-out': optional(integer),
  'rekey-time': optional(integer),
  'life-time': optional(integer),
  'install-time': optional(integer),
  'local-ts': texts,
  'remote-ts': texts,
  ...algorithms,
});

const ikeFields = {
  uniqueid: integer,
  version: integer,
  state: text,
  'local-host': text,
  'local-port': integer,
  'local-id': text,
  'remote-host': text,
  'remote-port': integer,
  'remote-id': text,
  'remote-xauth-id': optional(text),
  'remote-eap-id': optional(text),
  initiator: flag,
  'initiator-spi': text,
  'responder-spi': text,
  'nat-local': flag,
  'nat-remote': flag,
  'nat-fake': flag,
  'nat-any': flag,
  'if-id-in': optional(text),
  'if-id-out': optional(text),
  'prf-alg': optional(text),
  ppk: flag,
  established: optional(integer),
  'rekey-time': optional(integer),
  'reauth-time': optional(integer),
  'local-vips': texts,
  'remote-vips': texts,
  'tasks-queued': texts,
  'tasks-active': texts,
  'tasks-passive': texts,
  ...algorithms,
};

/** Reads the section of an IKE SA, which stands under the name of its connection, with its CHILD SAs. */
export const ikeSa = namedSectionOf<ViciIkeSa>({ ...ikeFields, 'child-sas': mapOf(childSa) });

/** The same without the CHILD SAs, which have another shape in `child-rekey`. */
export const ikeSaAlone = namedSectionOf<ViciIkeSa>({ ...ikeFields, 'child-sas': () => new Map() });

/** Reads a body with one IKE SA, as in `list-sa` and most events. */
export const soleIkeSa = sole(ikeSa);

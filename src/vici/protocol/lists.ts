import { isSection, type ViciSection } from '../message.ts';
import {
  bytes,
  flag,
  integer,
  mapOf,
  namedSectionOf,
  optional,
  sectionOf,
  sole,
  soleSection,
  text,
  texts,
} from './reader.ts';

/** One authentication round of a loaded connection. */
export interface ViciConnAuth {
  /** `public key`, `pre-shared key`, `EAP` or `XAuth`; absent when nothing was demanded. */
  readonly class?: string | undefined;
  /** EAP method, such as `EAP_TLS`; absent when any will do. */
  readonly 'eap-type'?: string | undefined;
  /** Vendor of the EAP method, by number; absent for the standard ones. */
  readonly 'eap-vendor'?: number | undefined;
  /** XAuth backend. */
  readonly xauth?: string | undefined;
  /** `GOOD` when loaded as `strict`, `SKIPPED` as `ifuri`; absent as `relaxed`. */
  readonly revocation?: string | undefined;
  /** IKE identity. */
  readonly id?: string | undefined;
  /** Identity that the CA must have. */
  readonly ca_id?: string | undefined;
  /** Identity of the AAA server. */
  readonly aaa_id?: string | undefined;
  /** EAP identity. */
  readonly eap_id?: string | undefined;
  /** XAuth identity. */
  readonly xauth_id?: string | undefined;
  /** Groups that a peer must belong to. */
  readonly groups: readonly string[];
  /** Certificate policies that a peer must have. */
  readonly cert_policy: readonly string[];
  /** Subjects of the certificates. */
  readonly certs: readonly string[];
  /** Subjects of the CA certificates. */
  readonly cacerts: readonly string[];
}

/** A CHILD SA's configuration in a loaded connection. */
export interface ViciConnChild {
  /** `TUNNEL`, `TRANSPORT`, `TRANSPORT_PROXY`, `BEET`, `PASS`, `DROP`; `IPTFS` since 6.0.2. */
  readonly mode: string;
  /** Security label, in hex. */
  readonly label?: string | undefined;
  /** Seconds; 0 without rekeying. */
  readonly rekey_time: number;
  /** Bytes; 0 without limit. */
  readonly rekey_bytes: number;
  /** Packets; 0 without limit. */
  readonly rekey_packets: number;
  /** `none`, `trap`, `start`, or for both `trap | start`, however it was spelled when loaded. */
  readonly dpd_action: string;
  /** The same words. */
  readonly close_action: string;
  /** Own traffic selectors; `dynamic` for the own address. */
  readonly 'local-ts': readonly string[];
  /** The peer's traffic selectors. */
  readonly 'remote-ts': readonly string[];
  /** Only policies on this interface. */
  readonly interface?: string | undefined;
  /** Priority of the policies; absent when charon computes it. */
  readonly priority?: number | undefined;
}

/**
 * A loaded connection, of whatever backend. Not all of what was loaded can be seen: mediation, proposals, start actions
 * and lifetimes other than these are missing, so compare with what you gave, not with this.
 */
export interface ViciConn {
  /** Its name. */
  readonly name: string;
  /** Addresses, names or subnets; `%any`. */
  readonly local_addrs: readonly string[];
  /** Addresses, names or subnets; `%any`. */
  readonly remote_addrs: readonly string[];
  /** UDP port. Since 6.0.3. */
  readonly local_port?: number | undefined;
  /** UDP port. Since 6.0.3. */
  readonly remote_port?: number | undefined;
  /** `IKEv1`, `IKEv2`, or for both `IKEv1/2` (where the official README says `0`). */
  readonly version: string;
  /** Seconds; 0 without. */
  readonly reauth_time: number;
  /** Seconds; 0 without. */
  readonly rekey_time: number;
  /** `UNIQUE_NO`, `UNIQUE_REPLACE`, `UNIQUE_KEEP` or `UNIQUE_NEVER`. */
  readonly unique: string;
  /** Seconds; absent without liveness checks. */
  readonly dpd_delay?: number | undefined;
  /** Seconds; IKEv1 only. */
  readonly dpd_timeout?: number | undefined;
  /** Identity of the postquantum preshared key. */
  readonly ppk_id?: string | undefined;
  /** It is required. */
  readonly ppk_required: boolean;
  /** This side's authentication rounds in order; on the wire `local-1` and so on. */
  readonly local: readonly ViciConnAuth[];
  /** The peer's. */
  readonly remote: readonly ViciConnAuth[];
  /** By name. */
  readonly children: ReadonlyMap<string, ViciConnChild>;
}

/** A trap policy, or a shunt that lets traffic pass or drops it. */
export interface ViciPolicy {
  /** `<connection>/<child>`, the child alone for a policy of no connection. */
  readonly name: string;
  /** Name of the child configuration. */
  readonly child: string;
  /** Name of the connection, or what another plugin calls its shunts. */
  readonly ike?: string | undefined;
  /** Of traps only. Since 6.0.2. (The official README leaves it out.) */
  readonly reqid?: number | undefined;
  /** `TUNNEL`, `TRANSPORT`, `PASS`, `DROP`, … */
  readonly mode: string;
  /** Security label, in hex. */
  readonly label?: string | undefined;
  /** Own traffic selectors. */
  readonly 'local-ts': readonly string[];
  /** The peer's traffic selectors. */
  readonly 'remote-ts': readonly string[];
}

/** A certificate, CRL or raw public key that charon has loaded or keeps in its cache. */
export interface ViciCert {
  /** `X509`, `X509_AC`, `X509_CRL`, `OCSP_RESPONSE` or `PUBKEY`. */
  readonly type: string;
  /** Of X509: `NONE`, `CA`, `AA` or `OCSP`. */
  readonly flag?: string | undefined;
  /** charon has its private key. */
  readonly has_privkey: boolean;
  /** DER. */
  readonly data: Uint8Array;
  /** Of a public key: whom it belongs to, if known. */
  readonly subject?: string | undefined;
  /** Of a public key: as in ASN.1, `20260101000000Z`. */
  readonly 'not-before'?: string | undefined;
  /** Of a public key: as in ASN.1, `20260101000000Z`. */
  readonly 'not-after'?: string | undefined;
}

/** A certification authority with where to ask about its certificates. */
export interface ViciAuthority {
  /** Its name. */
  readonly name: string;
  /** Subject of its certificate. */
  readonly cacert: string;
  /** Where CRLs are. */
  readonly crl_uris: readonly string[];
  /** Where its OCSP servers are. */
  readonly ocsp_uris: readonly string[];
  /** Base of Hash-and-URL addresses. */
  readonly cert_uri_base?: string | undefined;
}

const connAuth = sectionOf<ViciConnAuth>({
  class: optional(text),
  'eap-type': optional(text),
  'eap-vendor': optional(integer),
  xauth: optional(text),
  revocation: optional(text),
  id: optional(text),
  ca_id: optional(text),
  aaa_id: optional(text),
  eap_id: optional(text),
  xauth_id: optional(text),
  groups: texts,
  cert_policy: texts,
  certs: texts,
  cacerts: texts,
});

const connChild = sectionOf<ViciConnChild>({
  mode: text,
  label: optional(text),
  rekey_time: integer,
  rekey_bytes: integer,
  rekey_packets: integer,
  dpd_action: text,
  close_action: text,
  'local-ts': texts,
  'remote-ts': texts,
  interface: optional(text),
  priority: optional(integer),
});

const connFields = namedSectionOf<Omit<ViciConn, 'local' | 'remote'>>({
  local_addrs: texts,
  remote_addrs: texts,
  local_port: optional(integer),
  remote_port: optional(integer),
  version: text,
  reauth_time: integer,
  rekey_time: integer,
  unique: text,
  dpd_delay: optional(integer),
  dpd_timeout: optional(integer),
  ppk_id: optional(text),
  ppk_required: flag,
  children: mapOf(connChild),
});

/** Reads a `list-conn` event. */
export function conn(body: ViciSection): ViciConn {
  const [name, section] = soleSection(body, 'the body');
  const rounds = { local: roundsOf(section, 'local-'), remote: roundsOf(section, 'remote-') };
  return Object.assign(connFields(section, name), rounds);
}

/** charon numbers them from 1 and writes them in order. */
function roundsOf(section: ViciSection, prefix: string): readonly ViciConnAuth[] {
  const found: ViciConnAuth[] = [];
  for (const [key, value] of section) {
    if (isSection(value) && key.startsWith(prefix)) found.push(connAuth(value, key));
  }
  return found;
}

/** Reads a `list-policy` event. */
export const policy = sole(
  namedSectionOf<ViciPolicy>({
    child: text,
    ike: optional(text),
    reqid: optional(integer),
    mode: text,
    label: optional(text),
    'local-ts': texts,
    'remote-ts': texts,
  }),
);

/** Reads a `list-authority` event. */
export const authority = sole(
  namedSectionOf<ViciAuthority>({
    cacert: text,
    crl_uris: texts,
    ocsp_uris: texts,
    cert_uri_base: optional(text),
  }),
);

const certFields = sectionOf<ViciCert>({
  type: text,
  flag: optional(text),
  has_privkey: flag,
  data: bytes,
  subject: optional(text),
  'not-before': optional(text),
  'not-after': optional(text),
});

/** Reads a `list-cert` event. */
export function cert(body: ViciSection): ViciCert {
  return certFields(body, 'the certificate');
}

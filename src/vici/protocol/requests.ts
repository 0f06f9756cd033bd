import type { ViciInputValue } from '../message.ts';
import type { ViciLoadConn } from './load-conn.ts';

/** A command that takes nothing. */
export type ViciNoArguments = { readonly [key: string]: never };

/**
 * Which SAs to terminate or rekey. With `child` or `child-id` those CHILD SAs that fit every given field. Without them
 * whole IKE SAs, and then `ike` and `ike-id` together take in both: each SA that fits one of the two.
 */
export type ViciSaSelector = {
  /** Name of the child configuration. */
  readonly child?: string | undefined;
  /** Name of the connection. */
  readonly ike?: string | undefined;
  /** Unique id of a CHILD SA. 0 is none: charon takes it for absent. */
  readonly 'child-id'?: number | undefined;
  /** Unique id of an IKE SA. 0 is none: charon takes it for absent. */
  readonly 'ike-id'?: number | undefined;
};

/**
 * `initiate`: sets up a CHILD SA, over an IKE SA of its connection that there is already or a new one; an IKE SA alone
 * when only `ike` is given. Of a mediated connection give the child: with `ike` alone charon skips the mediation and
 * sends to 0.0.0.0.
 */
export type ViciInitiate = {
  /** Name of the child configuration. */
  readonly child?: string | undefined;
  /** Name of the connection; together with `child` to tell children of one name apart. */
  readonly ike?: string | undefined;
  /**
   * Milliseconds until charon answers with a failure although the attempt goes on; 0, the default, waits for ever. -1
   * only begins it and is the choice for programs: a waiting command holds one of charon's threads, and with a dozen of
   * them 5.9.8 froze for good. What comes of it then shows in events, but a set-up that fails shows in none.
   */
  readonly timeout?: number | undefined;
  /** Heed charon's limits of half-open IKE SAs and load; off by default. */
  readonly 'init-limits'?: boolean | undefined;
  /** Detail of the `control-log` lines, -1 to 4; 1 by default. None come with `timeout: -1`. */
  readonly loglevel?: number | undefined;
};

/**
 * `terminate`: deletes SAs, and waits for the peer to confirm unless `timeout` says otherwise. An IKE SA in CREATED or
 * CONNECTING goes at once and without an event. Never end a mediated one while its checks run (up to 70 s after its
 * beginning): charon aborts.
 */
export type ViciTerminate = ViciSaSelector & {
  /** IKE SAs only: do not wait for the peer, or with a `timeout` above 0 no longer than that. */
  readonly force?: boolean | undefined;
  /**
   * Milliseconds to wait for each SA in turn; 0, the default, as long as the retransmissions go on (165 s). -1 sends the
   * delete and answers at once, with `terminated` as many as `matches`.
   */
  readonly timeout?: number | undefined;
  /** As in `initiate`. */
  readonly loglevel?: number | undefined;
};

/** `rekey`: queues the rekeying; the answer does not wait for it, and `matches` says how many SAs it is for. */
export type ViciRekey = ViciSaSelector & {
  /** Authenticate anew instead; IKE SAs of IKEv2 only. */
  readonly reauth?: boolean | undefined;
};

/**
 * `redirect`: sends IKEv2 clients to another gateway: those that fit every given selector. There has to be one. The
 * answer counts every SA that fits, also those that this side initiated and cannot redirect.
 */
export type ViciRedirect = {
  /** Name of the connection. */
  readonly ike?: string | undefined;
  /** Unique id of an IKE SA. */
  readonly 'ike-id'?: number | undefined;
  /** Address, subnet or range of the peers. */
  readonly 'peer-ip'?: string | undefined;
  /** Their identity; wildcards are fine. */
  readonly 'peer-id'?: string | undefined;
  /** Where to go: address or name. (The official README does not mention it; without it charon refuses.) */
  readonly gateway: string;
};

/** `install` and `uninstall`: the trap, pass or drop policy of a child configuration, whatever its `start_action`. */
export type ViciInstall = {
  /** Name of the child configuration. */
  readonly child: string;
  /** Name of the connection; by default the first one that has such a child. */
  readonly ike?: string | undefined;
};

/** `list-sas`: the IKE SAs that fit both `ike` and `ike-id`, also those that have none of the wanted children. */
export type ViciListSas = {
  /** Name of the connection. */
  readonly ike?: string | undefined;
  /** Unique id of the IKE SA. */
  readonly 'ike-id'?: number | undefined;
  /** Of each, only its CHILD SAs of this configuration. */
  readonly child?: string | undefined;
  /** Of each, only its CHILD SA of this unique id. */
  readonly 'child-id'?: number | undefined;
  /** Skip SAs that charon works on at the moment rather than wait. Any value counts, even false, so there is only true. */
  readonly noblock?: true | undefined;
};

/**
 * `list-policies`: trap policies and shunts. Nothing is listed unless one of the kinds is asked for, and any value asks
 * for it, even false. (Policies of SAs that are up are not listed; they are those of `list-sas`.)
 */
export type ViciListPolicies = {
  /** Drop policies. */
  readonly drop?: true | undefined;
  /** Pass policies. */
  readonly pass?: true | undefined;
  /** Traps. */
  readonly trap?: true | undefined;
  /** Of this child configuration. */
  readonly child?: string | undefined;
  /** Of this connection. */
  readonly ike?: string | undefined;
};

/** `list-conns`: connections of every backend, also those that were not loaded over VICI. */
export type ViciListConns = {
  /** Only this one. */
  readonly ike?: string | undefined;
};

/** `list-certs`: what charon has loaded or has in its cache. A `type` that it does not know lists nothing. */
export type ViciListCerts = {
  /** `X509`, `X509_AC`, `X509_CRL`, `OCSP_RESPONSE`, `PUBKEY`; `ANY` by default. */
  readonly type?: string | undefined;
  /** Of `type: 'X509'` alone: `NONE`, `CA`, `AA`, `OCSP`; `ANY` by default. */
  readonly flag?: string | undefined;
  /** Only with this subject, or one of its alternative names. */
  readonly subject?: string | undefined;
};

/** `list-authorities` and whatever else is picked by one name. */
export type ViciByName = {
  /** Only this one. */
  readonly name?: string | undefined;
};

/** What is unloaded by its name. */
export type ViciUnloadByName = {
  /** Its name. */
  readonly name: string;
};

/** What is unloaded by its id. */
export type ViciUnloadById = {
  /** Its id. */
  readonly id: string;
};

/**
 * `load-cert`. A certificate that is loaded already changes nothing. There is no command to unload a single one: only
 * `clear-creds` takes them away.
 */
export type ViciLoadCert = {
  /** `X509`, `X509_AC`, `X509_CRL`, or `PUBKEY`; a CRL has to be of a CA that is loaded. */
  readonly type: string;
  /** Of X509: `CA` refuses what is no CA. A CA certificate is trusted as one whatever stands here. */
  readonly flag?: 'NONE' | 'CA' | 'AA' | 'OCSP' | undefined;
  /** DER or PEM. */
  readonly data: Uint8Array | string;
};

/** `load-key`: a private key. The certificate that it belongs to is found by itself. */
export type ViciLoadKey = {
  /** `any` recognises what it is, and is the one for PKCS#8. `bliss` was removed in 6.0. */
  readonly type: 'any' | 'rsa' | 'ecdsa' | 'ed25519' | 'ed448' | 'bliss';
  /** DER or PEM, not encrypted. */
  readonly data: Uint8Array | string;
};

/** `load-token`: a key on a smartcard or TPM. */
export type ViciLoadToken = {
  /** Hex CKA_ID. */
  readonly handle: string;
  /** Slot; any by default. */
  readonly slot?: number | undefined;
  /** PKCS#11 module. */
  readonly module?: string | undefined;
  /** If it needs one. */
  readonly pin?: string | undefined;
};

/** `load-shared`. */
export type ViciLoadShared = {
  /** By which it is replaced, listed and unloaded; without one it stays until `clear-creds`, and `get-shared` hides it. */
  readonly id?: string | undefined;
  /** What it is for. `EAP` and `XAUTH` are one; `NTLM` is a hash; `PPK`, which the official README forgot, postquantum. */
  readonly type: 'IKE' | 'EAP' | 'XAUTH' | 'NTLM' | 'PPK';
  /** The secret, as it is: charon decodes nothing. */
  readonly data: Uint8Array | string;
  /** Identities that share it; anybody by default. A secret for two has both, else charon may prefer another one. */
  readonly owners?: readonly string[] | undefined;
};

/** `flush-certs`: empties the cache of what was fetched or received. Loaded ones stay. */
export type ViciFlushCerts = {
  /** As in `list-certs`; all by default. */
  readonly type?: string | undefined;
};

/** An authority: its certificate, by one of `cacert`, `file` and `handle`, and where to ask about what it has issued. */
export type ViciAuthorityConfig = {
  /** Certificate, DER or PEM. charon says `CA certificate missing` as well when it cannot read it. */
  readonly cacert?: Uint8Array | string | undefined;
  /** Absolute path of it, for charon, as root, to read. */
  readonly file?: string | undefined;
  /** Hex CKA_ID on a token. */
  readonly handle?: string | undefined;
  /** Slot of the token. */
  readonly slot?: number | undefined;
  /** PKCS#11 module. */
  readonly module?: string | undefined;
  /** Where CRLs are. */
  readonly crl_uris?: readonly string[] | undefined;
  /** Where OCSP servers are. */
  readonly ocsp_uris?: readonly string[] | undefined;
  /** Base of Hash-and-URL addresses. */
  readonly cert_uri_base?: string | undefined;
};

/** `load-authority`: authorities by name, one in each request. One of the same name is replaced. */
export type ViciLoadAuthority =
  | { readonly [authority: string]: ViciAuthorityConfig }
  | ReadonlyMap<string, ViciAuthorityConfig>;

/** A pool of virtual addresses, and attributes that come with them. */
export type ViciPoolConfig = {
  /** `10.3.0.0/24` or `10.3.0.10-10.3.0.20`. */
  readonly addrs: string;
  /** Addresses of DNS servers; so with the others. */
  readonly dns?: readonly string[] | undefined;
  /** WINS servers. */
  readonly nbns?: readonly string[] | undefined;
  /** DHCP servers. */
  readonly dhcp?: readonly string[] | undefined;
  /** Netmasks. */
  readonly netmask?: readonly string[] | undefined;
  /** Servers. */
  readonly server?: readonly string[] | undefined;
  /** Subnets to tunnel. */
  readonly subnet?: readonly string[] | undefined;
  /** Unity: subnets to tunnel. */
  readonly split_include?: readonly string[] | undefined;
  /** Unity: subnets not to tunnel. */
  readonly split_exclude?: readonly string[] | undefined;
  /** P-CSCF servers. Since 6.0.3. */
  readonly p_cscf?: readonly string[] | undefined;
  /** Attributes by number: addresses, subnets, or else the bytes as they are. */
  readonly [attribute: `${number}`]: readonly (string | Uint8Array)[] | undefined;
};

/**
 * `load-pool`: pools by name, one in each request. One of the same name and addresses gets the new attributes and keeps
 * its leases; with other addresses it is replaced, unless leases are online.
 */
export type ViciLoadPool = { readonly [pool: string]: ViciPoolConfig } | ReadonlyMap<string, ViciPoolConfig>;

/** `get-pools`. */
export type ViciGetPools = {
  /** With their leases. */
  readonly leases?: boolean | undefined;
  /** Only this one. */
  readonly name?: string | undefined;
};

/** `get-counters`, `reset-counters`: the global counters by default. */
export type ViciCountersOf = {
  /** Of this connection; `get-counters` refuses one that has counted nothing yet. */
  readonly name?: string | undefined;
  /** Of every connection, not the global ones; `name` is ignored. */
  readonly all?: boolean | undefined;
};

/** What each command takes. */
export interface ViciRequests {
  version: ViciNoArguments;
  stats: ViciNoArguments;
  'reload-settings': ViciNoArguments;
  initiate: ViciInitiate;
  terminate: ViciTerminate;
  rekey: ViciRekey;
  redirect: ViciRedirect;
  install: ViciInstall;
  uninstall: ViciInstall;
  'list-sas': ViciListSas;
  'list-policies': ViciListPolicies;
  'list-conns': ViciListConns;
  'list-certs': ViciListCerts;
  'list-authorities': ViciByName;
  'load-conn': ViciLoadConn;
  'unload-conn': ViciUnloadByName;
  'get-conns': ViciNoArguments;
  'load-cert': ViciLoadCert;
  'load-key': ViciLoadKey;
  'unload-key': ViciUnloadById;
  'get-keys': ViciNoArguments;
  'load-token': ViciLoadToken;
  'load-shared': ViciLoadShared;
  'unload-shared': ViciUnloadById;
  'get-shared': ViciNoArguments;
  'flush-certs': ViciFlushCerts;
  'clear-creds': ViciNoArguments;
  'load-authority': ViciLoadAuthority;
  'unload-authority': ViciUnloadByName;
  'get-authorities': ViciNoArguments;
  'load-pool': ViciLoadPool;
  'unload-pool': ViciUnloadByName;
  'get-pools': ViciGetPools;
  'get-algorithms': ViciNoArguments;
  'get-counters': ViciCountersOf;
  'reset-counters': ViciCountersOf;
}

/** What a command takes, typed or as a section that was made elsewhere. */
export type ViciRequest<C extends keyof ViciRequests> =
  | ViciRequests[C]
  | ReadonlyMap<string, ViciInputValue | undefined>;

/** Seconds, or text with a unit: `90s`, `30m`, `4h`, `1d`. */
export type ViciDuration = number | string;

/**
 * What becomes of a child: `none` (also `clear`), `trap` (also `route`) sets it up when traffic asks for it, `start` (also
 * `restart`) sets it up at once, and `trap|start` does both.
 */
export type ViciAction = 'none' | 'clear' | 'trap' | 'route' | 'start' | 'restart' | 'trap|start';

/**
 * A certificate that charon reads by itself: from `file` or, by `handle`, from a token. One of the two. Whoever may load
 * this makes charon, as root, open any file.
 */
export type ViciCertSource = {
  /** Absolute path, PEM or DER. */
  readonly file?: string | undefined;
  /** Hex CKA_ID of the certificate on a token. */
  readonly handle?: string | undefined;
  /** Slot of the token. */
  readonly slot?: number | undefined;
  /** Name of the PKCS#11 module. */
  readonly module?: string | undefined;
};

/**
 * One authentication round: of `local` what this side proves, of `remote` what the peer has to. Without `id` it is the
 * subject of the first certificate, or what charon finds fit, and of the peer anything.
 */
export type ViciAuthConfig = {
  /**
   * `pubkey`, `psk`, `eap[-method]`, `xauth[-backend]`, and constraints such as `ike:pubkey-sha384` or
   * `rsa-2048-sha256`. This side uses `pubkey` by default. Of the peer nothing is demanded by default: whatever it can
   * prove will do, a shared secret as well (swanctl.conf(5) says `pubkey` there, too).
   */
  readonly auth?: string | undefined;
  /**
   * IKE identity. The kind is guessed unless a prefix such as `fqdn:`, `keyid:` or `asn1dn:#<hex>` tells it. Of the peer
   * also with wildcards (`*.example.org`), and since 6.0.2 as a regular expression (`fqdn:^vpn[0-9]+\.example\.org$`).
   */
  readonly id?: string | undefined;
  /** EAP identity. Of `remote`, since 6.0.2 always asked for when it is set. */
  readonly eap_id?: string | undefined;
  /** Identity of the AAA server that the EAP method has to meet. */
  readonly aaa_id?: string | undefined;
  /** XAuth name. */
  readonly xauth_id?: string | undefined;
  /** Identity that a CA in the peer's chain has to have. */
  readonly ca_id?: string | undefined;
  /** Groups of which the peer has to be in one. */
  readonly groups?: readonly string[] | undefined;
  /** Policy OIDs that the peer's certificate has to have, such as `1.3.6.1.4.1.1`. */
  readonly cert_policy?: readonly string[] | undefined;
  /** Certificates, PEM or DER; charon keeps them. File names are swanctl's, which sends the contents. */
  readonly certs?: readonly (Uint8Array | string)[] | undefined;
  /** CA certificates, PEM or DER; charon keeps and trusts them. */
  readonly cacerts?: readonly (Uint8Array | string)[] | undefined;
  /** Raw public keys, PEM or DER. */
  readonly pubkeys?: readonly (Uint8Array | string)[] | undefined;
  /** When revocation fails: `strict` without proof of the contrary, `ifuri` if there was one to get, `relaxed` (default). */
  readonly revocation?: 'strict' | 'ifuri' | 'relaxed' | undefined;
  /** Orders the rounds; 0 by default, and equal ones go by their place in the request. */
  readonly round?: number | undefined;
  /** A certificate from a file or token. */
  readonly cert?: ViciCertSource | undefined;
  /** Another one. */
  readonly [cert: `cert-${string}`]: ViciCertSource | undefined;
  /** A CA certificate from a file or token. */
  readonly cacert?: ViciCertSource | undefined;
  /** Another one. */
  readonly [cacert: `cacert-${string}`]: ViciCertSource | undefined;
};

/** A CHILD SA's configuration. */
export type ViciChildConfig = {
  /** Own traffic selectors: `10.1.0.0/24`, `10.1.0.5-10.1.0.9`, `10.1.0.0/24[tcp/http]`; `dynamic` by default. */
  readonly local_ts?: readonly string[] | undefined;
  /** The peer's, likewise. */
  readonly remote_ts?: readonly string[] | undefined;
  /** Such as `aes256gcm16-curve25519`; `default` stands for charon's own, which it takes without any. */
  readonly esp_proposals?: readonly string[] | undefined;
  /** Such as `sha256`; then AH instead of ESP. */
  readonly ah_proposals?: readonly string[] | undefined;
  /** `tunnel` by default. `pass` and `drop` make policies without any SA. `iptfs` since 6.0.2. */
  readonly mode?: 'tunnel' | 'transport' | 'transport_proxy' | 'iptfs' | 'beet' | 'pass' | 'drop' | undefined;
  /** What happens when this is loaded; `none` by default. That it failed shows nowhere: the command says success. */
  readonly start_action?: ViciAction | undefined;
  /** What happens when the peer closes it; `none` by default. */
  readonly close_action?: ViciAction | undefined;
  /** What happens when the peer is found dead; `clear` by default. */
  readonly dpd_action?: ViciAction | undefined;
  /** Until rekeying; 1 h by default, since 5.9.9 less than `life_time` if only that is given. */
  readonly rekey_time?: ViciDuration | undefined;
  /** Until the end; 10 % more than `rekey_time` by default. */
  readonly life_time?: ViciDuration | undefined;
  /** At most this much is taken off `rekey_time` by chance; the difference of the two by default. */
  readonly rand_time?: ViciDuration | undefined;
  /** Traffic until rekeying; without limit by default. */
  readonly rekey_bytes?: number | string | undefined;
  /** Traffic until the end. */
  readonly life_bytes?: number | string | undefined;
  /** At most this much is taken off `rekey_bytes` by chance. */
  readonly rand_bytes?: number | string | undefined;
  /** Packets until rekeying; without limit by default. */
  readonly rekey_packets?: number | undefined;
  /** Packets until the end. */
  readonly life_packets?: number | undefined;
  /** At most this many are taken off `rekey_packets` by chance. */
  readonly rand_packets?: number | undefined;
  /** Without traffic for this long it is closed; never by default. */
  readonly inactivity?: ViciDuration | undefined;
  /**
   * **A shell command that charon runs as root** when the CHILD SA comes up and goes down (plugin `updown`). This is why
   * access to the socket is root.
   */
  readonly updown?: string | undefined;
  /** For the updown script: let the host itself through. */
  readonly hostaccess?: boolean | undefined;
  /** Fixed id of its policies; 0 by default, for one that charon chooses. */
  readonly reqid?: number | undefined;
  /** Of the policies, the lower one wins; 0 by default, for one that charon computes from the selectors. */
  readonly priority?: number | undefined;
  /** Policies for this network interface only. */
  readonly interface?: string | undefined;
  /** Whether to install policies; true by default. */
  readonly policies?: boolean | undefined;
  /** Whether to install outbound forward policies, too. */
  readonly policies_fwd_out?: boolean | undefined;
  /** Packets; 32 by default, 0 for no replay protection. */
  readonly replay_window?: number | undefined;
  /** Inbound policies match packets with this mark. */
  readonly mark_in?: number | string | undefined;
  /** Whether the inbound SA has `mark_in`, too. */
  readonly mark_in_sa?: boolean | undefined;
  /** Outbound policies match packets with this mark. */
  readonly mark_out?: number | string | undefined;
  /** Put on packets behind the inbound SA. */
  readonly set_mark_in?: number | string | undefined;
  /** Put on packets behind the outbound SA. */
  readonly set_mark_out?: number | string | undefined;
  /** XFRM interface of inbound SAs and policies. */
  readonly if_id_in?: number | string | undefined;
  /** XFRM interface of outbound SAs and policies; charon installs no routes then. */
  readonly if_id_out?: number | string | undefined;
  /** Security label. */
  readonly label?: string | undefined;
  /** How the label is used; `system` by default. */
  readonly label_mode?: 'system' | 'simple' | 'selinux' | undefined;
  /** Smallest size of an ESP packet in bytes, or `mtu`; 0 by default. */
  readonly tfc_padding?: number | 'mtu' | undefined;
  /** Offer compression. */
  readonly ipcomp?: boolean | undefined;
  /** Hardware offload; `no` by default. Since 5.9.10 `crypto` (as `yes`) and `packet`. */
  readonly hw_offload?: 'no' | 'yes' | 'crypto' | 'packet' | 'auto' | undefined;
  /** Truncate HMAC-SHA-256 to 96 bits, as old peers do. */
  readonly sha256_96?: boolean | undefined;
  /** Copy the DF bit to the outer header; true by default. */
  readonly copy_df?: boolean | undefined;
  /** Copy ECN to and from the outer header; true by default. */
  readonly copy_ecn?: boolean | undefined;
  /** Copy DSCP to or from the outer header; `out` by default. */
  readonly copy_dscp?: 'no' | 'in' | 'out' | 'yes' | undefined;
  /** An SA for each CPU; `encap` with UDP source ports of their own. Since 6.0.2. */
  readonly per_cpu_sas?: boolean | 'encap' | undefined;
  /** Forward ICMP errors from addresses outside of the selectors. Since 6.0.5. */
  readonly icmp?: boolean | undefined;
};

/**
 * A connection: an IKE SA's configuration with its children, as under `connections` in swanctl.conf. charon answers a
 * list where a single value belongs, or the reverse, with `unknown option`.
 */
export type ViciConnConfig = {
  /** IKE version; 0, the default, takes both and begins with 2. */
  readonly version?: 0 | 1 | 2 | undefined;
  /** Own addresses, subnets, ranges or names; `%any` by default. A name is asked of DNS at each look-up. */
  readonly local_addrs?: readonly string[] | undefined;
  /** The peer's, likewise. To initiate, there has to be one address or name. */
  readonly remote_addrs?: readonly string[] | undefined;
  /** Own UDP port; by default that of charon, 500. */
  readonly local_port?: number | undefined;
  /** The peer's UDP port; 500 by default. */
  readonly remote_port?: number | undefined;
  /** Such as `aes256-sha256-curve25519`; `default` stands for charon's own, which it takes without any. */
  readonly proposals?: readonly string[] | undefined;
  /** Virtual addresses to ask for; `0.0.0.0` and `::` for any. */
  readonly vips?: readonly string[] | undefined;
  /** Pools to give virtual addresses from. */
  readonly pools?: readonly string[] | undefined;
  /** IKEv1 aggressive mode. */
  readonly aggressive?: boolean | undefined;
  /** IKEv1 mode config: whether the initiator asks; true by default. */
  readonly pull?: boolean | undefined;
  /** Of IKE packets: six binary digits as text, such as `101110`. */
  readonly dscp?: string | undefined;
  /** ESP in UDP also without a NAT. */
  readonly encap?: boolean | undefined;
  /** IKEv2 mobility; true by default. Mediated and mediation connections need it off. */
  readonly mobike?: boolean | undefined;
  /** Look whether the peer is alive after this long without a packet; 0, never, by default. */
  readonly dpd_delay?: ViciDuration | undefined;
  /**
   * IKEv1 only; IKEv2 goes by the retransmissions of strongswan.conf (165 s by default). A connection that differs in
   * this alone counts as unchanged, so it keeps the old value.
   */
  readonly dpd_timeout?: ViciDuration | undefined;
  /** Of IKE messages; `yes` by default. */
  readonly fragmentation?: 'yes' | 'accept' | 'no' | 'force' | undefined;
  /** IKE SAs without a CHILD SA at first; `allow` by default. `prefer` since 5.9.10. */
  readonly childless?: 'allow' | 'prefer' | 'force' | 'never' | undefined;
  /** Whether to ask for certificates; true by default. */
  readonly send_certreq?: boolean | undefined;
  /** When to send certificates; `ifasked` by default. */
  readonly send_cert?: 'ifasked' | 'always' | 'never' | undefined;
  /** OCSP within IKE; `reply` by default. Since 5.9.14. */
  readonly ocsp?: 'both' | 'reply' | 'request' | 'never' | undefined;
  /** Postquantum preshared key. */
  readonly ppk_id?: string | undefined;
  /** Whether the peer has to have it. */
  readonly ppk_required?: boolean | undefined;
  /** Rounds of retransmission at the start; 1 by default, 0 for ever. */
  readonly keyingtries?: number | undefined;
  /** What becomes of older IKE SAs with the same peer; `no` by default. */
  readonly unique?: 'no' | 'never' | 'keep' | 'replace' | undefined;
  /** Until reauthentication; never by default. Up to 5.9 the tunnel is down meanwhile. */
  readonly reauth_time?: ViciDuration | undefined;
  /** Until rekeying; 4 h by default, or never if there is a `reauth_time`. */
  readonly rekey_time?: ViciDuration | undefined;
  /** How long behind those two it may live; 10 % of the longer one by default. */
  readonly over_time?: ViciDuration | undefined;
  /** At most this much is taken off those two by chance; `over_time` by default. */
  readonly rand_time?: ViciDuration | undefined;
  /** XFRM interface of children that have none of their own. */
  readonly if_id_in?: number | string | undefined;
  /** XFRM interface of children that have none of their own. */
  readonly if_id_out?: number | string | undefined;
  /**
   * This is an IKE SA with a mediator, without children. Since 6.0 loading it again, changed or not, deletes its IKE SAs,
   * on a mediator those of every node.
   */
  readonly mediation?: boolean | undefined;
  /** Name of the mediation connection to go through; looked up at initiate only. */
  readonly mediated_by?: string | undefined;
  /** The peer's identity at the mediator. Always give it: without, 5.9.8 crashes. */
  readonly mediation_peer?: string | undefined;
  /** The authentication round of this side. */
  readonly local?: ViciAuthConfig | undefined;
  /** More rounds, in order: `local-2`. charon takes any suffix. */
  readonly [local: `local-${string}`]: ViciAuthConfig | undefined;
  /** The authentication round of the peer. */
  readonly remote?: ViciAuthConfig | undefined;
  /** More rounds, in order: `remote-2`. charon takes any suffix. */
  readonly [remote: `remote-${string}`]: ViciAuthConfig | undefined;
  /** CHILD SAs by name. */
  readonly children?: { readonly [child: string]: ViciChildConfig } | ReadonlyMap<string, ViciChildConfig> | undefined;
};

/**
 * Connections by name, one in each request: charon applies each section as it reads it, so a mistake in a later one
 * leaves the earlier ones loaded.
 *
 * A connection of the same name is replaced: if only children differ just those that do, else everything. Its IKE SAs
 * stay, but those of children with `start_action: 'start'` are closed. Since 6.0 even an unchanged connection costs a
 * walk over all SAs, and its IKE SAs without a CHILD SA their life: never load again what has not changed.
 */
export type ViciLoadConn = { readonly [connection: string]: ViciConnConfig } | ReadonlyMap<string, ViciConnConfig>;

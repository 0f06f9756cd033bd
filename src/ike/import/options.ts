import { parseDurationSeconds } from '../../duration.ts';

/**
 * The options of swanctl.conf and `load-conn` (strongSwan: `swanctl.opt`, `vici_config.c`) in our words: one table per
 * section, for reading and for writing. What names a script or a token (`updown`, `handle`) has no place here.
 */
interface Option<T> {
  /** charon's name for it. */
  readonly wire: string;
  /** Undefined when charon would refuse the text. */
  parse(text: string): T | undefined;
  format(value: T): string | readonly string[];
}

/** Any table of options. */
export type OptionTable = Readonly<
  Record<
    string,
    { readonly wire: string; parse(text: string): unknown; format(value: never): string | readonly string[] }
  >
>;

/** The values of a table's options; what is absent is left to charon's default. */
export type ValuesOf<T> = {
  readonly [K in keyof T]?: (T[K] extends Option<infer V> ? V : never) | undefined;
};

const text = (wire: string, pattern = /^[^]*$/): Option<string> => ({
  wire,
  parse: (written) => (pattern.test(written) ? written : undefined),
  format: (value) => value,
});

const oneOf = <const T extends string>(wire: string, words: readonly T[]): Option<T> => ({
  wire,
  parse: (written) => words.find((word) => word === written.toLowerCase()),
  format: (value) => value,
});

const count = (wire: string): Option<number> => ({
  wire,
  parse: (written) => (/^(?:0|[1-9]\d{0,14})$/.test(written) ? Number(written) : undefined),
  format: String,
});

const seconds = (wire: string): Option<number> => ({
  wire,
  parse: (written) => parseDurationSeconds(written.replace(/ +(?=[smhd]$)/i, '').toLowerCase()),
  format: (value) => `${value}s`,
});

const BYTES_OF_UNIT: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

const bytes = (wire: string): Option<number> => ({
  wire,
  parse: (written) => {
    const match = /^(0|[1-9]\d{0,13}) *([kmg]?)$/i.exec(written);
    return match === null ? undefined : Number(match[1]) * (BYTES_OF_UNIT[match[2]?.toLowerCase() ?? ''] ?? 1);
  },
  format: String,
});

const YES = ['yes', 'true', 'enabled', '1'];
const NO = ['no', 'false', 'disabled', '0'];

const flag = (wire: string): Option<boolean> => ({
  wire,
  parse: (written) => {
    const word = written.toLowerCase();
    if (YES.includes(word)) return true;
    return NO.includes(word) ? false : undefined;
  },
  format: (value) => (value ? 'yes' : 'no'),
});

const list = (wire: string): Option<readonly string[]> => ({ wire, parse: splitList, format: (value) => value });

/** The items of a comma-separated list. */
export function splitList(written: string): readonly string[] {
  return written
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** What charon does with a CHILD SA; `trap` waits for traffic. */
export type ChildAction = 'none' | 'trap' | 'start' | 'trap|start';
const ACTION_WORDS: ReadonlyMap<string, ChildAction> = new Map([
  ['none', 'none'],
  ['clear', 'none'],
  ['trap', 'trap'],
  ['route', 'trap'],
  ['start', 'start'],
  ['restart', 'start'],
  ['trap|start', 'trap|start'],
  ['start|trap', 'trap|start'],
]);

const action = (wire: string): Option<ChildAction> => ({
  wire,
  parse: (written) => ACTION_WORDS.get(written.toLowerCase().replaceAll(' ', '')),
  format: (value) => value,
});

/** A mark that packets must carry: `%unique` has charon choose one. With an optional mask. */
export const MARK = /^(?:%unique(?:-dir)?|0x[0-9a-f]{1,8}|\d{1,10})(?:\/(?:0x[0-9a-f]{1,8}|\d{1,10}))?$/i;
/** A mark to set: `%same` takes that of the policy. */
const SET_MARK = /^(?:%same|0x[0-9a-f]{1,8}|\d{1,10})(?:\/(?:0x[0-9a-f]{1,8}|\d{1,10}))?$/i;
const NUMBER_OR_UNIQUE = /^(?:%unique(?:-dir)?|0x[0-9a-f]{1,8}|\d{1,10})$/i;
/** `parse_auth` in vici_config.c. */
const AUTH_METHOD = /^(?:ike:|pubkey|rsa|ecdsa|bliss|psk$|xauth|eap).{0,58}$/i;
/** Two hosts, or one and its prefix, with an optional protocol and port. */
const SELECTOR = /^(?:dynamic|[0-9a-f.:]+(?:\/\d{1,3}|-[0-9a-f.:]+)?)(?:\[[^\][]{0,64}\])?$/i;

const selectors = (wire: string): Option<readonly string[]> => ({
  wire,
  parse: (written) => {
    const items = splitList(written);
    return items.every((item) => SELECTOR.test(item)) ? items : undefined;
  },
  format: (value) => value,
});

export const mediationOptions = {
  mediation: flag('mediation'),
  mediatedBy: text('mediated_by'),
  mediationPeer: text('mediation_peer'),
};

export const localOptions = {
  /** Empty: any address of this machine. */
  addresses: list('local_addrs'),
  port: count('local_port'),
};

export const remoteOptions = {
  /** Empty: any address. */
  addresses: list('remote_addrs'),
  port: count('remote_port'),
};

export const ikeOptions = {
  /** IKE version; 0: both, and 2 for what this side begins. */
  version: count('version'),
  /** Empty: charon's default; `default` in a list stands for it. */
  proposals: list('proposals'),
  /** Rekeying begins up to `randomSeconds` before this age; 0: never. */
  rekeySeconds: seconds('rekey_time'),
  /** Authenticates from scratch at this age, less up to `randomSeconds`; 0: never. */
  reauthSeconds: seconds('reauth_time'),
  /** How long the IKE SA may outlive the time of its rekeying. */
  overSeconds: seconds('over_time'),
  randomSeconds: seconds('rand_time'),
  /** Idle time before a liveness check; 0: none. */
  dpdDelaySeconds: seconds('dpd_delay'),
  /** IKEv1 only; IKEv2 gives a peer up with its last retransmission. */
  dpdTimeoutSeconds: seconds('dpd_timeout'),
  /** 0: for ever. */
  keyingTries: count('keyingtries'),
  unique: oneOf('unique', ['never', 'no', 'keep', 'replace']),
  mobike: flag('mobike'),
  /** UDP encapsulation even without a NAT. */
  encapsulation: flag('encap'),
  fragmentation: oneOf('fragmentation', ['yes', 'accept', 'no', 'force']),
  childless: oneOf('childless', ['allow', 'prefer', 'force', 'never']),
  sendCertificate: oneOf('send_cert', ['always', 'ifasked', 'never']),
  sendCertificateRequest: flag('send_certreq'),
  ocsp: oneOf('ocsp', ['reply', 'request', 'both', 'never']),
  aggressive: flag('aggressive'),
  pull: flag('pull'),
  /** Six binary digits. */
  dscp: text('dscp', /^[01]{1,6}$/),
  /** Addresses to ask the peer for; 0.0.0.0 and :: for any. */
  virtualIps: list('vips'),
  /** Pools that peers get addresses from. */
  pools: list('pools'),
  ppkId: text('ppk_id'),
  ppkRequired: flag('ppk_required'),
  interfaceIdIn: text('if_id_in', NUMBER_OR_UNIQUE),
  interfaceIdOut: text('if_id_out', NUMBER_OR_UNIQUE),
};

export const authOptions = {
  /** `pubkey`, `psk`, `eap-mschapv2`, …; absent on the remote side: any. */
  method: text('auth', AUTH_METHOD),
  id: text('id'),
  /** Identity of a CA that must be in the peer's trust chain. */
  caId: text('ca_id'),
  eapId: text('eap_id'),
  aaaId: text('aaa_id'),
  xauthId: text('xauth_id'),
  groups: list('groups'),
  certificatePolicies: list('cert_policy'),
  revocation: oneOf('revocation', ['strict', 'ifuri', 'relaxed']),
};

export const childOptions = {
  localTs: selectors('local_ts'),
  remoteTs: selectors('remote_ts'),
  espProposals: list('esp_proposals'),
  ahProposals: list('ah_proposals'),
  rekeySeconds: seconds('rekey_time'),
  /** Age at which the CHILD SA is given up; 0: never. */
  lifeSeconds: seconds('life_time'),
  randomSeconds: seconds('rand_time'),
  rekeyBytes: bytes('rekey_bytes'),
  lifeBytes: bytes('life_bytes'),
  randomBytes: bytes('rand_bytes'),
  rekeyPackets: count('rekey_packets'),
  lifePackets: count('life_packets'),
  randomPackets: count('rand_packets'),
  mode: oneOf('mode', ['tunnel', 'transport', 'transport_proxy', 'beet', 'iptfs', 'pass', 'drop']),
  startAction: action('start_action'),
  dpdAction: action('dpd_action'),
  closeAction: action('close_action'),
  inactivitySeconds: seconds('inactivity'),
  /** False: somebody else installs the policies. */
  policies: flag('policies'),
  policiesForwardOut: flag('policies_fwd_out'),
  priority: count('priority'),
  interface: text('interface'),
  ipcomp: flag('ipcomp'),
  requestId: count('reqid'),
  markIn: text('mark_in', MARK),
  markInSa: flag('mark_in_sa'),
  markOut: text('mark_out', MARK),
  setMarkIn: text('set_mark_in', SET_MARK),
  setMarkOut: text('set_mark_out', SET_MARK),
  interfaceIdIn: text('if_id_in', NUMBER_OR_UNIQUE),
  interfaceIdOut: text('if_id_out', NUMBER_OR_UNIQUE),
  label: text('label'),
  labelMode: oneOf('label_mode', ['system', 'simple', 'selinux']),
  replayWindow: count('replay_window'),
  tfcPadding: text('tfc_padding', /^(?:mtu|\d{1,9})$/),
  hardwareOffload: oneOf('hw_offload', ['no', 'yes', 'auto', 'crypto', 'packet']),
  sha256Truncated96: flag('sha256_96'),
  copyDf: flag('copy_df'),
  copyEcn: flag('copy_ecn'),
  copyDscp: oneOf('copy_dscp', ['out', 'in', 'yes', 'no']),
  icmp: flag('icmp'),
  perCpuSas: oneOf('per_cpu_sas', ['yes', 'no', 'encap']),
};

/** A table's values as charon spells them. Empty lists are left out: they mean the default. */
export function formatOptions<T extends OptionTable>(
  table: T,
  values: ValuesOf<T>,
): Record<string, string | readonly string[]> {
  const formatted: Record<string, string | readonly string[]> = {};
  for (const [key, option] of Object.entries(table)) {
    const value: unknown = values[key];
    if (value === undefined || isEmptyList(value)) continue;
    // `never` is what the options of a table take in common; that this one takes its own value is in ValuesOf<T>.
    formatted[option.wire] = option.format(value as never);
  }
  return formatted;
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** What {@link parseOptions} leaves to its caller. */
export interface LeftOver {
  /** Keys that the table does not have. */
  readonly unknown: readonly string[];
  /** Keys whose values charon would refuse. */
  readonly refused: readonly string[];
}

/** Reads a section's settings by a table; keys in lower case. */
export function parseOptions<T extends OptionTable>(
  table: T,
  settings: ReadonlyMap<string, string>,
): LeftOver & { readonly values: ValuesOf<T> } {
  const byWire = new Map(Object.entries(table).map(([key, option]) => [option.wire, { key, option }]));
  const values: Record<string, unknown> = {};
  const unknown: string[] = [];
  const refused: string[] = [];
  for (const [wire, written] of settings) {
    const entry = byWire.get(wire);
    if (entry === undefined) {
      unknown.push(wire);
      continue;
    }
    const value: unknown = entry.option.parse(written);
    if (value === undefined) refused.push(wire);
    else values[entry.key] = value;
  }
  return { values: values as ValuesOf<T>, unknown, refused };
}

import type { Place } from './import-error.ts';
import type { ImportedChild, ImportedConnection, ImportedPool } from './imported.ts';
import type { IpsecKeywords } from './ipsec-keywords.ts';
import { readLifetimes } from './ipsec-lifetimes.ts';
import { readSelectors } from './ipsec-selectors.ts';
import type { IpsecSetup } from './ipsec-setup.ts';
import { addressesOf, readSide, type IpsecEnd } from './ipsec-side.ts';
import { readVirtualIps } from './ipsec-virtual-ips.ts';
import { settleMediation } from './mediation-rules.ts';
import { MARK, splitList, type ChildAction } from './options.ts';
import type { Warnings } from './warnings.ts';

/** What every conn of a file is read with. */
export interface IpsecContext {
  readonly setup: IpsecSetup;
  readonly credentialFolder: string;
  /** Whether this machine has the address: strongSwan takes `right` for the local end when its address is. */
  readonly isLocalAddress: (address: string) => boolean;
  readonly warnings: Warnings;
}

/** A conn, and the pools that it defines besides. */
export interface IpsecConnection {
  readonly connection: ImportedConnection;
  readonly pools: readonly ImportedPool[];
}

const VERSIONS = { ike: 0, ikev1: 1, ikev2: 2 } as const;
const ACTIONS = { none: 'none', clear: 'none', hold: 'trap', restart: 'start' } as const;
const START_ACTIONS = { ignore: 'none', add: 'none', route: 'trap', start: 'start' } as const;
const MODES = {
  tunnel: 'tunnel',
  transport: 'transport',
  transport_proxy: 'transport_proxy',
  beet: 'beet',
  passthrough: 'pass',
  pass: 'pass',
  drop: 'drop',
  reject: 'drop',
} as const;

/**
 * A conn as the connection that strongSwan would have loaded (`starter/confread.c`, `stroke/stroke_config.c`): with
 * its one child of the same name, and with every default written out that charon's VICI socket has otherwise.
 * Undefined when strongSwan would have left it out.
 */
export function readConnection(
  name: string,
  place: Place,
  keywords: IpsecKeywords,
  context: IpsecContext,
): IpsecConnection | undefined {
  const [local, remote] = endsOf(keywords, context);
  const side = { keywords, setup: context.setup, credentialFolder: context.credentialFolder };
  const { virtualIps, pools, definitions } = readVirtualIps(keywords, local, remote, place);
  const lifetimes = readLifetimes(keywords);
  const start = START_ACTIONS[keywords.oneOf('auto', ['ignore', 'add', 'route', 'start'], 'ignore')];
  const connection = {
    name,
    place,
    ike: { ...readIke(keywords, context, local, remote), ...lifetimes.ike, virtualIps, pools },
    local: readSide(side, local),
    remote: readSide(side, remote),
    children: [{ name, ...lifetimes.child, ...readChild(keywords, local, remote), startAction: start }],
  };
  const mediation = {
    mediation: keywords.flag('mediation', false),
    mediatedBy: keywords.text('mediated_by'),
    mediationPeer: keywords.text('me_peerid'),
    start: start === 'start',
  };
  warnOfScripts(keywords, local, remote);
  keywords.finish();
  if (keywords.refused) {
    context.warnings.add(place, `conn ${name} is left out, as by strongSwan, because of a value that makes no sense`);
    return undefined;
  }
  const settled = settleMediation({ connection, ...mediation }, (message) => context.warnings.add(place, message));
  return settled === undefined ? undefined : { connection: settled, pools: definitions };
}

function endsOf(keywords: IpsecKeywords, { isLocalAddress }: IpsecContext): readonly [IpsecEnd, IpsecEnd] {
  const swapped = addressesOf(keywords, 'right').some(isLocalAddress);
  if (swapped) {
    keywords.warn('right', 'right is an address of this machine, so right is the local side, as for strongSwan');
  }
  return [
    { prefix: swapped ? 'right' : 'left', isLocal: true },
    { prefix: swapped ? 'left' : 'right', isLocal: false },
  ];
}

function readIke(
  keywords: IpsecKeywords,
  { setup }: IpsecContext,
  local: IpsecEnd,
  remote: IpsecEnd,
): ImportedConnection['ike'] {
  const version = VERSIONS[keywords.oneOf('keyexchange', ['ike', 'ikev1', 'ikev2'], 'ike')];
  const dpdDelay = keywords.seconds(['dpddelay'], 30);
  const dpdTimeout = keywords.seconds(['dpdtimeout'], 150);
  const checks = keywords.oneOf('dpdaction', DPD_WORDS, 'none') !== 'none';
  return {
    version,
    proposals: proposalsOf(keywords, 'ike'),
    dpdDelaySeconds: checks ? dpdDelay : 0,
    dpdTimeoutSeconds: checks && version !== 2 ? dpdTimeout : undefined,
    keyingTries: keywords.text('keyingtries') === '%forever' ? 0 : keywords.count('keyingtries', 3),
    unique: setup.unique,
    mobike: keywords.flag('mobike', true) && undefined,
    encapsulation: keywords.flag('forceencaps', false) || undefined,
    fragmentation: keywords.oneOf('fragmentation', ['no', 'accept', 'yes', 'force'], undefined),
    sendCertificate: sendCertificate(keywords, local),
    sendCertificateRequest: sendCertificate(keywords, remote) === 'never' ? false : undefined,
    aggressive: keywords.flag('aggressive', false) || undefined,
    pull: keywords.oneOf('modeconfig', ['push', 'pull'], 'pull') === 'push' ? false : undefined,
    dscp: keywords.matching('ikedscp', /^[01]{1,6}$/, 'up to six binary digits'),
  };
}

const DPD_WORDS = ['none', 'clear', 'hold', 'restart'] as const;
const SEND_WORDS = { always: 'always', yes: 'always', ifasked: 'ifasked', never: 'never', no: 'never' } as const;

function sendCertificate(keywords: IpsecKeywords, { prefix }: IpsecEnd): 'always' | 'ifasked' | 'never' | undefined {
  const word = keywords.oneOf(`${prefix}sendcert`, ['always', 'ifasked', 'never', 'yes', 'no'], undefined);
  return word === undefined ? undefined : SEND_WORDS[word];
}

/** Without a `!` at the end strongSwan adds its defaults. */
function proposalsOf(keywords: IpsecKeywords, name: 'ike' | 'esp' | 'ah'): readonly string[] {
  const written = keywords.text(name) ?? '';
  if (written === '') return [];
  return written.endsWith('!') ? splitList(written.slice(0, -1)) : [...splitList(written), 'default'];
}

function readChild(keywords: IpsecKeywords, local: IpsecEnd, remote: IpsecEnd): Omit<ImportedChild, 'name'> {
  if (keywords.text('esp') !== undefined && keywords.text('ah') !== undefined) {
    keywords.refuse('ah', 'ah and esp exclude each other');
  }
  const mode = keywords.oneOf('type', MODE_WORDS, undefined);
  const mark = keywords.matching('mark', MARK, MARK_FORM);
  const action = (name: string): ChildAction => ACTIONS[keywords.oneOf(name, DPD_WORDS, 'none')];
  return {
    localTs: readSelectors(keywords, local),
    remoteTs: readSelectors(keywords, remote),
    espProposals: proposalsOf(keywords, 'esp'),
    ahProposals: proposalsOf(keywords, 'ah'),
    mode: mode === undefined ? undefined : MODES[mode],
    dpdAction: action('dpdaction'),
    closeAction: action('closeaction'),
    inactivitySeconds: keywords.seconds(['inactivity'], 0) || undefined,
    policies: keywords.flag('installpolicy', true) ? undefined : false,
    ipcomp: keywords.flag('compress', false) || undefined,
    requestId: keywords.count('reqid', 0) || undefined,
    markIn: keywords.matching('mark_in', MARK, MARK_FORM) ?? mark,
    markOut: keywords.matching('mark_out', MARK, MARK_FORM) ?? mark,
    replayWindow: replayWindow(keywords),
    tfcPadding: keywords.matching('tfc', /^(?:%mtu|\d{1,9})$/, 'a number of bytes or %mtu')?.replace('%', ''),
    sha256Truncated96: keywords.flag('sha256_96', false) || undefined,
  };
}

const MODE_WORDS = ['tunnel', 'transport', 'transport_proxy', 'beet', 'passthrough', 'pass', 'drop', 'reject'] as const;
const MARK_FORM = 'MARK or MARK/MASK';

/** -1 is ipsec.conf's word for charon's default. */
function replayWindow(keywords: IpsecKeywords): number | undefined {
  return keywords.text('replay_window') === '-1' ? undefined : keywords.count('replay_window', undefined);
}

/** Whoever may load a script is root, so none is loaded from here. */
function warnOfScripts(keywords: IpsecKeywords, local: IpsecEnd, remote: IpsecEnd): void {
  const { prefix } = local;
  const firewall = `${prefix}firewall`;
  if (keywords.flag(firewall, false)) {
    keywords.warn(
      firewall,
      `${firewall}=yes is not carried over: it runs the ipsec command's script, which charon-systemd does not have. Let ` +
        'the traffic of the tunnel through your firewall yourself (nft: "meta secpath exists accept"), or set updown in ' +
        'swanctl.conf by hand',
    );
  }
  keywords.warn(
    `${prefix}updown`,
    `${prefix}updown is not carried over: no scripts are loaded from here; set updown in swanctl.conf by hand`,
  );
  keywords.warn(`${prefix}hostaccess`, `${prefix}hostaccess only tells the updown script something`);
  for (const name of ['firewall', 'updown', 'hostaccess'].map((keyword) => remote.prefix + keyword)) {
    keywords.warn(name, `${name} has no effect: strongSwan looks at the local side only; take it out`);
  }
}

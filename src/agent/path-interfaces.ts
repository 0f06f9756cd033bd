import { existsSync } from 'node:fs';
import { z } from 'zod';
import { messageOf } from '../errors.ts';
import { IF_IDS, OUTSIDE_MARK, type PathKind } from '../ike/steering.ts';
import { ip, ipBatch } from './ip-command.ts';
import { PROBE_PORT } from './probe-packet.ts';

/** Of the two kinds of path. */
export const INTERFACES: Readonly<Record<PathKind, string>> = { direct: 'cygnet-direct', relay: 'cygnet-relay' };
export const PATH_KINDS = ['direct', 'relay'] as const satisfies readonly PathKind[];

/** Routing tables of ours: {@link Route.table}. */
export const TABLES = { traffic: 7447, probes: 7448 } as const;

/** Who has made a rule or a route, as the kernel remembers it: only those with this number are ours. */
export const PROTOCOL = 74;

/** What stands there is looked at again after this long, if nothing else happens. */
const LOOK_EVERY_MS = 10_000;
/** A refusal is not asked about again before. */
const RETRY_AFTER_MS = 30_000;

const linksSchema = z.array(
  z.object({
    ifname: z.string(),
    flags: z.array(z.string()),
    linkinfo: z.object({ info_data: z.object({ if_id: z.string() }) }).exactOptional(),
  }),
);
const rulesSchema = z.array(
  z.object({ priority: z.number(), src: z.string(), protocol: z.union([z.string(), z.number()]).exactOptional() }),
);

/**
 * The node's two XFRM interfaces, and the rules that have the tables of its routes looked at before charon's table (220) and
 * the main one. They stay when the agent ends, as the tunnels do. Needs CAP_NET_ADMIN, `ip`, and the kernel's xfrm_interface.
 */
export class PathInterfaces {
  readonly #monotonicMs: () => number;
  #areThere = false;
  #problem: string | null = null;
  /** For which address all was right last; null: for none, and nothing is there; undefined: not known. */
  #held: string | null | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Whether tunnels can be led through them. What was there is taken to be there until it is not wanted any more: the tunnels
   * of a node are not set up anew because something could not be looked at.
   */
  get areThere(): boolean {
    return this.#areThere;
  }

  /** Why they are not as they should be, in words; null when they are, or are not wanted. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Makes what is missing for a node with this mesh address; without one takes everything away. Never rejects. */
  async hold(own: string | undefined): Promise<void> {
    const wanted = own ?? null;
    const waitMs = this.#problem === null ? LOOK_EVERY_MS : RETRY_AFTER_MS;
    const isFresh = this.#monotonicMs() - this.#lookedAtMs < waitMs;
    if (wanted === this.#held && (wanted === null || isFresh)) return;
    this.#held = wanted;
    this.#lookedAtMs = this.#monotonicMs();
    // Of an agent before this one: its tunnels lead through them.
    const wereThere = this.#areThere || PATH_KINDS.every(isKnown);
    try {
      if (own === undefined) await removeAll();
      else await makeAll(own);
      this.#problem = null;
      this.#areThere = own !== undefined;
    } catch (error) {
      this.#areThere = own !== undefined && wereThere;
      this.#problem = problemOf(own, error);
    }
  }

  /** Something of it is missing: to be looked at with the next call of `hold`. */
  suspect(): void {
    if (this.#problem === null) this.#lookedAtMs = Number.NEGATIVE_INFINITY;
  }
}

function problemOf(own: string | undefined, error: unknown): string | null {
  // Without `ip` nothing of ours can be there.
  if (own === undefined) return null;
  const advice = 'packets may be lost when a link changes between its direct tunnel and its relay';
  return `no XFRM interfaces, so ${advice}: ${messageOf(error)}`;
}

function isKnown(kind: PathKind): boolean {
  return existsSync(`/sys/class/net/${INTERFACES[kind]}`);
}

async function makeAll(own: string): Promise<void> {
  await ipBatch(missingLinks(await links()));
  await ipBatch(missingRules(await rules(), rulesFor(own)));
}

async function removeAll(): Promise<void> {
  const present = await links();
  const ours = PATH_KINDS.filter((kind) => present.some((link) => isOurs(link, kind)));
  await ipBatch(ours.map((kind) => `link del dev ${INTERFACES[kind]}`));
  await ipBatch(missingRules(await rules(), []));
}

type Links = z.output<typeof linksSchema>;

async function links(): Promise<Links> {
  const text = await ip(['-json', '-details', 'link', 'show', 'type', 'xfrm']);
  return linksSchema.parse(JSON.parse(text || '[]'));
}

/** Commands that bring the interfaces about. One that is another's is refused by the kernel, as it exists. */
function missingLinks(present: Links): string[] {
  return PATH_KINDS.flatMap((kind) => {
    const name = INTERFACES[kind];
    const link = present.find((each) => isOurs(each, kind));
    const make = link === undefined ? [`link add name ${name} type xfrm if_id ${IF_IDS[kind]}`] : [];
    return link?.flags.includes('UP') === true ? make : [...make, `link set dev ${name} up`];
  });
}

function isOurs({ ifname, linkinfo }: Links[number], kind: PathKind): boolean {
  return ifname === INTERFACES[kind] && Number(linkinfo?.info_data.if_id) === IF_IDS[kind];
}

interface Rule {
  readonly priority: number;
  readonly src: string;
}

interface NewRule extends Rule {
  /** What `ip rule add` is told besides. */
  readonly rest: string;
}

/** charon's own rule comes at 220. Each has a priority of its own, which is how it is known again. */
function rulesFor(own: string): readonly NewRule[] {
  const isMarked = `fwmark 0x${OUTSIDE_MARK.toString(16)}/0x${OUTSIDE_MARK.toString(16)}`;
  const end = 219;
  return [
    { priority: end, src: 'all', rest: 'nop' },
    // IKE of this machine does not go into tunnels, as it does not with policies: charon would find its peers through them.
    ...[500, 4500].map((port, at) => ({
      priority: 210 + at,
      src: 'all',
      rest: `iif lo ipproto udp sport ${port} goto ${end}`,
    })),
    ...['dport', 'sport'].map((port, at) => ({
      priority: 212 + at,
      src: own,
      rest: `ipproto udp ${port} ${PROBE_PORT} lookup ${TABLES.probes}`,
    })),
    { priority: 214, src: 'all', rest: `not ${isMarked} lookup ${TABLES.traffic}` },
  ];
}

async function rules(): Promise<readonly Rule[]> {
  const present = rulesSchema.parse(JSON.parse(await ip(['-json', '-details', 'rule', 'show'])));
  return present.filter(({ protocol }) => String(protocol) === String(PROTOCOL));
}

/** Commands that bring the rules about: what is missing first. */
function missingRules(present: readonly Rule[], wanted: readonly NewRule[]): string[] {
  const keyOf = ({ priority, src }: Rule): string => `${priority} ${src}`;
  const [there, due] = [new Set(present.map(keyOf)), new Set(wanted.map(keyOf))];
  return [
    ...wanted
      .filter((rule) => !there.has(keyOf(rule)))
      .map(({ priority, src, rest }) => `rule add priority ${priority} from ${src} ${rest} protocol ${PROTOCOL}`),
    ...present
      .filter((rule) => !due.has(keyOf(rule)))
      .map(({ priority, src }) => `rule del priority ${priority} from ${src} protocol ${PROTOCOL}`),
  ];
}

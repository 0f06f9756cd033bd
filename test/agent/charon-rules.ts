import type { ChildSa, IkeSa } from '../../src/ike/sa.ts';
import { IF_IDS, type PathKind } from '../../src/ike/steering.ts';

/** What harms a charon, or its tunnels, and must never be asked of it; `test/lab/hazards.test.ts` shows what comes of it. */
export const HAZARDS = [
  'duplicate initiation',
  'a poisoned pair asked again',
  'initiation with the mediator down',
  'termination during checks',
  'repeated load',
  'initiation by IKE connection',
  'the end of a tunnel that takes the traffic',
] as const;
export type Hazard = (typeof HAZARDS)[number];

/** A section of a request, as text: VICI knows no other values. */
export type RequestFields = Readonly<Record<string, unknown>>;

/** What passed between an agent and its charon, as far as the rules need it. */
export type CharonRecord =
  /** Another charon process, or a first one. */
  | { readonly type: 'started' }
  /** What charon listed. */
  | { readonly type: 'listed'; readonly atMs: number; readonly ikeSas: readonly IkeSa[] }
  /** Names of all that is loaded, as charon told. */
  | { readonly type: 'loaded'; readonly names: readonly string[] }
  /** The traffic to a destination takes another path from now on; undefined: its route is gone. */
  | { readonly type: 'routed'; readonly destination: string; readonly path: PathKind | undefined }
  /** A command that writes. */
  | { readonly type: 'asked'; readonly atMs: number; readonly command: string; readonly request: RequestFields };

export interface Breach {
  readonly hazard: Hazard;
  readonly what: string;
}

/** The trap that makes a link's traffic take its direct tunnel. */
const STEERING_TRAP = 'direct';
/** charon's connectivity checks end 65 s after their start at the latest; some more, as an agent may see them late. */
const CHECKS_MS = 75_000;

/** Every breach of the rules in the records of one charon's life with its agents. */
export function breachesIn(records: readonly CharonRecord[]): readonly Breach[] {
  const book = new Book();
  return records.flatMap((record) => book.read(record));
}

/** What charon has, and since when, by the records so far. */
class Book {
  /** The request of each loaded connection. */
  readonly #loaded = new Map<string, RequestFields>();
  readonly #firstSeenMs = new Map<number, number>();
  /** Asked for since the last list: their SAs may not show in it yet. */
  readonly #begun = new Set<string>();
  /** The reqids that traffic is steered into, by the connection of the trap. */
  readonly #steered = new Map<string, number>();
  /** Destinations whose traffic goes into a direct tunnel. They outlive a charon. */
  readonly #routed = new Set<string>();
  #ikeSas: readonly IkeSa[] = [];

  read(record: CharonRecord): readonly Breach[] {
    switch (record.type) {
      case 'started':
        this.#loaded.clear();
        this.#firstSeenMs.clear();
        this.#begun.clear();
        this.#steered.clear();
        this.#ikeSas = [];
        return [];
      case 'listed':
        this.#ikeSas = record.ikeSas;
        this.#begun.clear();
        for (const { uniqueId } of record.ikeSas) {
          if (!this.#firstSeenMs.has(uniqueId)) this.#firstSeenMs.set(uniqueId, record.atMs);
        }
        return [];
      case 'loaded':
        for (const name of this.#loaded.keys()) if (!record.names.includes(name)) this.#loaded.delete(name);
        return [];
      case 'routed':
        if (record.path === 'direct') this.#routed.add(record.destination);
        else this.#routed.delete(record.destination);
        return [];
      case 'asked':
        return this.#asked(record.command, record.request, record.atMs);
    }
  }

  #asked(command: string, request: RequestFields, atMs: number): readonly Breach[] {
    switch (command) {
      case 'load-conn':
        return Object.entries(request).flatMap(([name, section]) => this.#load(name, section as RequestFields));
      case 'unload-conn':
        this.#loaded.delete(String(request['name']));
        return [];
      case 'install':
        return this.#install(String(request['ike']), String(request['child']));
      case 'uninstall':
        if (request['child'] === STEERING_TRAP) this.#steered.delete(String(request['ike']));
        return [];
      case 'initiate':
        return this.#initiate(request['ike'] as string | undefined, request['child'] as string | undefined);
      case 'terminate':
        return this.#terminate(request, atMs);
      default:
        return [];
    }
  }

  #load(name: string, section: RequestFields): readonly Breach[] {
    const isSame = textOf(this.#loaded.get(name)) === textOf(section);
    this.#loaded.set(name, section);
    return isSame ? [{ hazard: 'repeated load', what: name }] : [];
  }

  #install(ike: string, child: string): readonly Breach[] {
    const reqid = childIn(this.#loaded.get(ike), child)?.['reqid'];
    if (child === STEERING_TRAP && reqid !== undefined) this.#steered.set(ike, Number(reqid));
    return [];
  }

  #initiate(ike: string | undefined, child: string | undefined): readonly Breach[] {
    const what = `${ike ?? '?'}/${child ?? ''}`;
    const config = ike === undefined ? undefined : this.#loaded.get(ike);
    const mediator = config?.['mediated_by'] as string | undefined;
    const breaches: Hazard[] = [];
    if (config === undefined || (mediator !== undefined && child === undefined)) {
      breaches.push('initiation by IKE connection');
    }
    if (mediator !== undefined && !this.#ikeSas.some((sa) => sa.name === mediator && sa.state === 'ESTABLISHED')) {
      breaches.push('initiation with the mediator down');
    }
    const own = this.#ikeSas.filter(({ name }) => name === ike);
    if (mediator !== undefined && own.some(({ state }) => state === 'CREATED')) {
      breaches.push('a poisoned pair asked again');
    }
    if (this.#begun.has(what) || own.some((sa) => this.#serves(sa, config, child))) {
      breaches.push('duplicate initiation');
    }
    this.#begun.add(what);
    return breaches.map((hazard) => ({ hazard, what }));
  }

  /** Whether the IKE SA is a set-up under way, or has what is asked for. */
  #serves(ikeSa: IkeSa, config: RequestFields | undefined, child: string | undefined): boolean {
    if (ikeSa.state === 'CREATED' || ikeSa.state === 'CONNECTING') return true;
    if (child === undefined) return ikeSa.state === 'ESTABLISHED';
    const wanted = childIn(config, child);
    return ikeSa.childSas.some(
      (sa) =>
        sa.name === child &&
        sa.state === 'INSTALLED' &&
        // charon does not take them for duplicates either (child_create.c).
        (wanted?.['reqid'] === undefined || sa.reqid === Number(wanted['reqid'])) &&
        sa.ifId === Number(wanted?.['if_id_in'] ?? 0) &&
        sameSet(sa.localTs, wanted?.['local_ts']) &&
        sameSet(sa.remoteTs, wanted?.['remote_ts']),
    );
  }

  #terminate(request: RequestFields, atMs: number): readonly Breach[] {
    const id = request['ike-id'];
    if (id === undefined && request['child-id'] !== undefined) return [];
    // By name it would hit whatever bears it.
    const hit = this.#ikeSas.filter(({ uniqueId }) => id === undefined || uniqueId === Number(id));
    const young = hit.filter(
      ({ state, uniqueId }) =>
        (state === 'CREATED' || state === 'CONNECTING') && atMs - (this.#firstSeenMs.get(uniqueId) ?? atMs) < CHECKS_MS,
    );
    return [
      ...young.map((sa): Breach => ({ hazard: 'termination during checks', what: wordsOf(sa) })),
      ...hit
        .filter((sa) => this.#takesTraffic(sa))
        .map((sa): Breach => ({ hazard: 'the end of a tunnel that takes the traffic', what: wordsOf(sa) })),
    ];
  }

  /** Whether traffic is steered into the IKE SA, and no other one would take it. */
  #takesTraffic(ikeSa: IkeSa): boolean {
    const others = this.#ikeSas.filter(({ uniqueId }) => uniqueId !== ikeSa.uniqueId);
    const isOnlyOne = (leads: (childSa: ChildSa) => boolean): boolean =>
      carries(ikeSa, leads) && !others.some((other) => carries(other, leads));
    return (
      [...this.#steered.values()].some((reqid) => isOnlyOne((sa) => sa.reqid === reqid)) ||
      [...this.#routed].some((to) => isOnlyOne((sa) => sa.ifId === IF_IDS.direct && sa.remoteTs.includes(to)))
    );
  }
}

function wordsOf({ name, uniqueId }: IkeSa): string {
  return `${name}[${uniqueId}]`;
}

function carries({ childSas }: IkeSa, leads: (childSa: ChildSa) => boolean): boolean {
  return childSas.some((sa) => leads(sa) && (sa.state === 'INSTALLED' || sa.state === 'REKEYING'));
}

function childIn(config: RequestFields | undefined, name: string): RequestFields | undefined {
  return (config?.['children'] as Record<string, RequestFields> | undefined)?.[name];
}

function textOf(section: RequestFields | undefined): string | undefined {
  return section === undefined ? undefined : JSON.stringify(section);
}

function sameSet(a: readonly string[], b: unknown): boolean {
  return Array.isArray(b) && a.length === b.length && a.every((element) => b.includes(element));
}

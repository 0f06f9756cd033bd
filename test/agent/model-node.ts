import { ViciCharon, charonCredentials, requestDigest } from '../../src/agent/charon-adapter.ts';
import { DirectPaths } from '../../src/agent/direct-paths.ts';
import { NodeState } from '../../src/agent/node-state.ts';
import { Repairs } from '../../src/agent/repairs.ts';
import type { HeldState } from '../../src/agent/state-acceptance.ts';
import type { LinkHint } from '../../src/control/frames.ts';
import type { NodeReport } from '../../src/control/report.ts';
import type { Connection } from '../../src/ike/connection.ts';
import type { DesiredState } from '../../src/ike/desired-state.ts';
import type { ChildSa, IkeSa } from '../../src/ike/sa.ts';
import type { DataPlane, Steering } from '../../src/ike/steering.ts';
import { canonicalJson } from '../../src/json.ts';
import type { Ledger } from '../../src/reconcile/ledger.ts';
import { Reconciler, type RoundResult } from '../../src/reconcile/loop.ts';
import { ViciError, type ViciSession } from '../../src/vici/index.ts';
import { signedState, statementAbout } from '../control/statements.ts';
import { childSa, ikeSa } from '../reconcile/builders.ts';
import { ManualClock } from '../reconcile/memory-charon.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import type { CharonRecord, RequestFields } from './charon-rules.ts';
import { repairDeps } from './hub-knocks.ts';

const credentials = charonCredentials({
  own: Uint8Array.of(1),
  ca: Uint8Array.of(2),
  privateKey: Uint8Array.of(3),
});

/** A charon as its VICI commands show it, with a record of what it was asked. What becomes of a set-up is the test's to say. */
export class ModelCharon {
  readonly records: CharonRecord[] = [{ type: 'started' }];
  readonly clock: ManualClock;
  ikeSas: IkeSa[] = [];
  idleWorkers = 12;
  /** Refuses every load and initiate. */
  isRefusing = false;
  readonly #dataPlane: DataPlane;
  readonly #connections = new Map<string, RequestFields>();
  /** As list-policies gives them: the youngest first. */
  #traps: RequestFields[] = [];
  #hasKey = false;
  #startMs: number;
  #nextId = 1;

  constructor(clock: ManualClock, dataPlane: DataPlane) {
    this.clock = clock;
    this.#dataPlane = dataPlane;
    this.#startMs = clock.nowMs();
  }

  get session(): Pick<ViciSession, 'call' | 'stream'> {
    const call = (command: string, request: RequestFields = {}): Promise<unknown> =>
      Promise.resolve().then(() => this.#answer(command, request));
    const stream = (command: string): AsyncGenerator =>
      command === 'list-policies' ? this.#listTraps() : this.#list();
    return { call, stream } as unknown as Pick<ViciSession, 'call' | 'stream'>;
  }

  /** A new process: nothing is loaded, ids begin at 1 again. */
  restart(): void {
    this.clock.advance(10_000);
    this.#startMs = this.clock.nowMs();
    this.#connections.clear();
    this.#traps = [];
    this.#hasKey = false;
    this.#nextId = 1;
    this.ikeSas = [];
    this.records.push({ type: 'started' });
  }

  unload(name: string): void {
    this.#connections.delete(name);
  }

  addSa(name: string, change: Partial<IkeSa> = {}): void {
    this.ikeSas.push(ikeSa(name, { uniqueId: this.#nextId, establishedSeconds: undefined, ...change }));
    this.#nextId += 1;
  }

  /** What of the connection is being set up comes up, with the CHILD SA of this name if any. */
  establish(name: string, child: string | undefined): void {
    this.ikeSas = this.ikeSas.filter((sa) => sa.name !== name);
    const config = child === undefined ? undefined : this.#childOf(name, child);
    const [reqid, ifId] = [Number(config?.['reqid'] ?? 1), Number(config?.['if_id_in'] ?? 0)];
    const childSas: ChildSa[] = child === undefined ? [] : [childSa(child, { uniqueId: this.#nextId, reqid, ifId })];
    this.addSa(name, { state: 'ESTABLISHED', establishedSeconds: 1, childSas });
  }

  lose(name: string): void {
    this.ikeSas = this.ikeSas.filter((sa) => sa.name !== name);
  }

  async *#list(): AsyncGenerator {
    this.records.push({ type: 'listed', atMs: this.clock.monotonicMs(), ikeSas: [...this.ikeSas] });
    yield* this.ikeSas.map(listedSa);
  }

  async *#listTraps(): AsyncGenerator {
    yield* this.#traps;
  }

  #answer(command: string, request: RequestFields): unknown {
    switch (command) {
      case 'version':
        return { version: '5.9.8' };
      case 'stats':
        return {
          uptime: { since: new Date(this.#startMs).toISOString() },
          workers: { idle: this.idleWorkers },
          plugins: [`kernel-${this.#dataPlane === 'libipsec' ? 'libipsec' : 'netlink'}`],
        };
      case 'get-keys':
        return { keys: this.#hasKey ? ['key-1'] : [] };
      case 'get-conns': {
        const names = [...this.#connections.keys()];
        this.records.push({ type: 'loaded', names });
        return { conns: names };
      }
      case 'load-key':
        this.#hasKey = true;
        return { id: 'key-1' };
      default:
        return this.#write(command, request);
    }
  }

  #write(command: string, request: RequestFields): undefined {
    const fields = plain(request);
    if (this.isRefusing && (command === 'load-conn' || command === 'initiate')) {
      throw new ViciError('command-failed', 'no');
    }
    this.records.push({ type: 'asked', atMs: this.clock.monotonicMs(), command, request: fields });
    switch (command) {
      case 'load-conn':
        for (const [name, section] of Object.entries(fields)) this.#connections.set(name, section as RequestFields);
        return undefined;
      case 'unload-conn':
        this.unload(String(fields['name']));
        return undefined;
      case 'install':
        return this.#install(String(fields['ike']), String(fields['child']));
      case 'uninstall':
        this.#uninstall(String(fields['ike']), String(fields['child']));
        return undefined;
      case 'initiate':
        return this.#initiate(String(fields['ike']));
      case 'terminate':
        return this.#terminate(fields);
      case 'rekey':
        return this.#rekey(Number(fields['child-id']));
      default:
        return undefined;
    }
  }

  #install(ike: string, child: string): undefined {
    const config = this.#childOf(ike, child);
    if (config === undefined) throw new ViciError('command-failed', 'configuration name not found');
    this.#uninstall(ike, child);
    this.#traps.unshift({ ike, child, 'local-ts': config['local_ts'], 'remote-ts': config['remote_ts'] });
  }

  #uninstall(ike: string, child: string): void {
    this.#traps = this.#traps.filter((trap) => trap['ike'] !== ike || trap['child'] !== child);
  }

  #childOf(connection: string, child: string): RequestFields | undefined {
    const children = this.#connections.get(connection)?.['children'];
    return (children as Record<string, RequestFields> | undefined)?.[child];
  }

  #initiate(name: string): undefined {
    if (this.ikeSas.some((sa) => sa.name === name && sa.state === 'ESTABLISHED')) return undefined;
    const isMediated = this.#connections.get(name)?.['mediated_by'] !== undefined;
    this.addSa(name, { state: isMediated ? 'CREATED' : 'CONNECTING' });
    return undefined;
  }

  /** Begins, and waits for the peer's answer. */
  #rekey(childId: number): undefined {
    this.ikeSas = this.ikeSas.map((sa) => ({
      ...sa,
      childSas: sa.childSas.map((each) => (each.uniqueId === childId ? { ...each, state: 'REKEYING' } : each)),
    }));
    return undefined;
  }

  #terminate(fields: RequestFields): undefined {
    const [ikeId, childId] = [Number(fields['ike-id']), Number(fields['child-id'])];
    this.ikeSas = this.ikeSas
      .filter(({ uniqueId }) => uniqueId !== ikeId)
      .map((sa) => ({ ...sa, childSas: sa.childSas.filter(({ uniqueId }) => uniqueId !== childId) }));
    return undefined;
  }
}

/** All of an agent that decides what charon is asked, with that charon: no sockets, no time but the test's. */
export class ModelNode {
  readonly clock = new ManualClock();
  readonly charon: ModelCharon;
  readonly #dataPlane: DataPlane;
  readonly #routes = new MemoryRoutes();
  /** Links through which nothing comes. */
  readonly silent = new Set<string>();
  /** Hubs, by their connections, through which nothing comes any more. */
  readonly silentHubs = new Set<string>();
  /** How long the coordinator has been away, in ms. */
  channelDownMs = 0;
  #held: HeldState;
  #hints: LinkHint[] = [];
  readonly #digests = new WeakMap<object, string>();
  #ledger: Ledger | undefined;
  #directPaths: DirectPaths;
  #node: NodeState;
  #reconciler: Reconciler;

  constructor(desired: DesiredState, dataPlane: DataPlane) {
    this.#dataPlane = dataPlane;
    this.charon = new ModelCharon(this.clock, dataPlane);
    this.#routes.onChange = ({ table, destination, path }) => {
      if (table === 'traffic') this.charon.records.push({ type: 'routed', destination, path });
    };
    this.#held = heldOf(desired);
    this.#directPaths = this.#makeDirectPaths();
    this.#node = this.#makeNode();
    this.#reconciler = this.#makeReconciler();
  }

  /** As `agentctl reconnect` asks for it. */
  reconnect(link: string): void {
    this.#directPaths.reconnect(link);
  }

  wish(desired: DesiredState): void {
    this.#held = heldOf(desired);
  }

  hint(hints: readonly LinkHint[]): void {
    this.#hints = [...hints];
    this.#node.received({ type: 'links', hints: this.#hints });
  }

  /** Another agent process, with what the last one has left on disk. */
  restartAgent(): void {
    this.#directPaths = this.#makeDirectPaths();
    this.#node = this.#makeNode();
    this.#reconciler = this.#makeReconciler();
    this.hint(this.#hints);
  }

  /** The control channel is open again: the coordinator has said nothing on it yet. */
  channelOpened(): void {
    this.#node.channelOpened();
  }

  report(): NodeReport {
    return this.#node.report();
  }

  async round(): Promise<RoundResult> {
    const { charon, clock } = this;
    const { session } = charon;
    const material = { credentials, crl: undefined };
    const { signal } = new AbortController();
    const vici = new ViciCharon({ session, clock, bootMs: () => clock.monotonicMs(), routes: this.#routes });
    this.#node.charonFound(await vici.dataPlane(signal), await vici.connections(signal));
    const target = {
      ...this.#node.local!,
      credentialsDigest: credentials.digest,
      digestOf: (connection: Connection | Steering) => this.#digestOf(connection),
    };
    const result = await this.#reconciler.round(vici.with(material), target, (seen) => this.#node.gate(seen), signal);
    this.#node.roundDone(result);
    return result;
  }

  /** Most of the time of a round would go into this. */
  #digestOf(connection: Connection | Steering): string {
    const digest = this.#digests.get(connection) ?? requestDigest(connection, credentials);
    this.#digests.set(connection, digest);
    return digest;
  }

  #makeDirectPaths(): DirectPaths {
    return new DirectPaths({ clock: this.clock, random: () => 0.5 });
  }

  #makeNode(): NodeState {
    const { clock } = this;
    const held = (): HeldState => this.#held;
    return new NodeState({
      clock,
      agentVersion: '1.2.3',
      keeper: {
        get held() {
          return held();
        },
        keys: [],
        postponed: undefined,
        receive: () => ({ kind: 'confirmed' }),
        introduce: () => undefined,
      },
      directPaths: this.#directPaths,
      links: {
        look: () => undefined,
        reading: () => undefined,
        isSilent: ({ id }) => this.silent.has(id),
        tellLost: () => undefined,
        takeOwnSilence: () => false,
        isProven: () => true,
        silentHubs: () =>
          new Map(
            this.charon.ikeSas
              .filter(({ name }) => this.silentHubs.has(name))
              .map(({ uniqueId }) => [uniqueId, { peers: 1, ask: () => undefined, lostSince: () => 4 }]),
          ),
        heardAtMs: undefined,
      },
      repairs: new Repairs(repairDeps(clock)),
      hasInterfaces: () => this.#dataPlane === 'xfrm-interfaces',
      localAddresses: () => new Set(['192.168.1.2']),
      ownNat: () => 'cone',
      logged: () => undefined,
      crl: { take: () => undefined },
      ikeCertificate: () => undefined,
      placedIke: () => undefined,
      channel: () => ({ channelDownMs: this.channelDownMs, hasChannelFailed: this.channelDownMs > 0 }),
      send: () => true,
      onEvent: () => undefined,
      changed: () => undefined,
    });
  }

  #makeReconciler(): Reconciler {
    return new Reconciler({
      clock: this.clock,
      random: () => 0.5,
      ledger: this.#ledger,
      saveLedger: (ledger) => {
        this.#ledger = ledger;
        return true;
      },
    });
  }
}

/** As if it had come from the coordinator. */
function heldOf(state: DesiredState): HeldState {
  const text = canonicalJson(state);
  return { statement: statementAbout(text), signed: signedState(text), text, state };
}

/** A request as charon gets it: every value a text, a list or a section. */
function plain(value: unknown): RequestFields {
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value as RequestFields);
  return Object.fromEntries(
    entries.map(([key, inner]): [string, unknown] => {
      if (Array.isArray(inner)) return [key, inner.map(String)];
      return [
        key,
        inner !== null && typeof inner === 'object' && !(inner instanceof Uint8Array) ? plain(inner) : String(inner),
      ];
    }),
  );
}

/** An item of list-sas, as the VICI library gives it. */
function listedSa(sa: IkeSa): unknown {
  const childSas = sa.childSas.map(
    (child) =>
      [
        `${child.name}-${child.uniqueId}`,
        {
          name: child.name,
          uniqueid: child.uniqueId,
          reqid: child.reqid,
          ...(child.ifId > 0 && { 'if-id-in': child.ifId.toString(16).padStart(8, '0') }),
          state: child.state,
          'spi-in': child.spiIn,
          'spi-out': child.spiOut,
          'install-time': child.installedSeconds,
          'rekey-time': child.rekeyInSeconds,
          'local-ts': child.localTs,
          'remote-ts': child.remoteTs,
        },
      ] as const,
  );
  return {
    name: sa.name,
    uniqueid: sa.uniqueId,
    state: sa.state,
    initiator: sa.initiator,
    'initiator-spi': sa.initiatorSpi,
    'local-host': sa.localHost,
    'local-port': sa.localPort,
    'remote-host': sa.remoteHost,
    'remote-port': sa.remotePort,
    'local-id': sa.localId,
    'remote-id': sa.remoteId,
    'nat-any': sa.nat,
    established: sa.establishedSeconds,
    'rekey-time': sa.rekeyInSeconds,
    'tasks-queued': sa.isMediating ? ['IKE_ME'] : [],
    'tasks-active': [],
    'child-sas': new Map(childSas),
  };
}

import { childSa, ikeSa } from './builders.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import type { Steering } from '../../src/ike/steering.ts';
import {
  StepRefused,
  type Charon,
  type Executors,
  type ObservedState,
  type ObservedTrap,
  type Step,
} from '../../src/reconcile/charon.ts';
import { trapKey } from '../../src/reconcile/traps.ts';
import { MemoryRoutes } from './memory-routes.ts';

/** Time that only the test moves. */
export class ManualClock {
  #ms = 1_000_000;

  nowMs(): number {
    return this.#ms;
  }

  monotonicMs(): number {
    return this.#ms;
  }

  advance(ms: number): void {
    this.#ms += ms;
  }
}

/** A charon in memory, as far as the loop can tell: what is loaded, which SAs there are, when it started. */
export class MemoryCharon implements Charon {
  /** Every step that was asked for, refused ones too. */
  readonly asked: Step[] = [];
  /** What the next steps are refused with, by connection name or `credentials`. */
  readonly refuses = new Map<string, string>();
  readonly connections = new Set<string>();
  readonly keyIds = new Set<string>();
  ikeSas: IkeSa[] = [];
  /** By `trapKey`, in the order of their installation. */
  readonly traps = new Map<string, ObservedTrap>();
  readonly routes = new MemoryRoutes();
  readonly #steering = new Map<string, Steering>();
  /** Called with each step before it is carried out. */
  onStep: (step: Step) => void = () => undefined;
  /** What `observe` rejects with, if anything. */
  problem: Error | undefined;
  idleWorkers = 12;
  #startMs = 10_000;
  #nextId = 1;
  readonly executors: Executors;

  constructor() {
    const execute = (step: Step): Promise<string | undefined> => this.#execute(step);
    this.executors = {
      'load-credentials': execute,
      'load-crl': execute,
      'load-conn': execute,
      'unload-conn': execute,
      'install-trap': execute,
      'uninstall-trap': execute,
      'set-routes': execute,
      'divert-routes': execute,
      'remove-routes': execute,
      'unload-key': execute,
      'terminate-ike': execute,
      'abandon-ike': execute,
      'rekey-child': execute,
      'terminate-child': execute,
      'initiate-ike': execute,
      'initiate-child': execute,
    };
  }

  observe(): Promise<ObservedState> {
    if (this.problem !== undefined) return Promise.reject(this.problem);
    return Promise.resolve({
      charonStartMs: this.#startMs,
      charonSinceMs: 1_700_000_000_000 + this.#startMs,
      charonVersion: '5.9.8',
      idleWorkers: this.idleWorkers,
      connections: new Set(this.connections),
      keyIds: new Set(this.keyIds),
      ikeSas: this.ikeSas.map((sa) => ({ ...sa })),
      traps: new Map(this.traps),
      routes: new Map(this.routes.routes),
    });
  }

  /** A new process: nothing is loaded, ids begin at 1 again. */
  restart(afterMs = 60_000): void {
    this.#startMs += afterMs;
    this.#nextId = 1;
    this.connections.clear();
    this.keyIds.clear();
    this.ikeSas = [];
    this.traps.clear();
  }

  /** An SA in the given state appears, as if this side had begun it. */
  addSa(name: string, change: Partial<IkeSa> = {}): void {
    this.ikeSas.push(ikeSa(name, { uniqueId: this.#nextId, establishedSeconds: 0, ...change }));
    this.#nextId += 1;
  }

  /** The SA of this name gets its CHILD SA. */
  establish(name: string, child: string | undefined, forSeconds = 0): void {
    this.ikeSas = this.ikeSas.filter((sa) => sa.name !== name);
    const childSas = child === undefined ? [] : [childSa(child, { uniqueId: 1, installedSeconds: forSeconds })];
    this.addSa(name, { state: 'ESTABLISHED', establishedSeconds: forSeconds, childSas });
  }

  #execute(step: Step): Promise<string | undefined> {
    this.asked.push(step);
    this.onStep(step);
    const refusal = this.refuses.get(resourceOf(step));
    if (refusal !== undefined) return Promise.reject(new StepRefused(refusal));
    return Promise.resolve(this.#carryOut(step));
  }

  #carryOut(step: Step): string | undefined {
    switch (step.kind) {
      case 'load-credentials':
        this.keyIds.add(`key of ${step.digest}`);
        return `key of ${step.digest}`;
      case 'load-crl':
        return undefined;
      case 'load-conn':
        this.connections.add(step.connection.name);
        if (step.connection.kind === 'steering') this.#steering.set(step.connection.name, step.connection);
        return undefined;
      case 'unload-conn':
        this.connections.delete(step.connection);
        return undefined;
      case 'install-trap':
        return this.#install(step.connection, step.trap);
      case 'uninstall-trap':
        this.traps.delete(trapKey(step.connection, step.trap));
        return undefined;
      case 'set-routes':
      case 'divert-routes':
        void this.routes.set(step.routes);
        return undefined;
      case 'remove-routes':
        void this.routes.remove(step.routes);
        return undefined;
      case 'unload-key':
        this.keyIds.delete(step.keyId);
        return undefined;
      case 'terminate-ike':
      case 'abandon-ike':
        this.ikeSas = this.ikeSas.filter(({ uniqueId }) => uniqueId !== step.ikeSaId);
        return undefined;
      case 'rekey-child':
        return this.#rekey(step.childSaId);
      case 'terminate-child':
        this.ikeSas = this.ikeSas.map((sa) => ({
          ...sa,
          childSas: sa.childSas.filter(({ uniqueId }) => uniqueId !== step.childSaId),
        }));
        return undefined;
      case 'initiate-ike':
      case 'initiate-child':
        if (!this.ikeSas.some(({ name }) => name === step.connection)) {
          this.addSa(step.connection, { state: 'CREATED', remoteHost: '%any', establishedSeconds: undefined });
        }
        return undefined;
    }
  }

  /** A trap that is there already is replaced in its place. */
  #install(connection: string, name: string): undefined {
    const steering = this.#steering.get(connection);
    const direct = steering !== undefined && 'direct' in steering ? [steering.direct] : [];
    const trap = [...(steering?.lasting ?? []), ...direct].find((each) => each.name === name);
    if (trap === undefined) throw new TypeError(`no such trap: ${connection}/${name}`);
    const { localSelectors: localTs, remoteSelectors: remoteTs } = trap;
    this.traps.set(trapKey(connection, name), { connection, name, localTs, remoteTs });
  }

  /** The CHILD SA gives way to one of the same configuration. */
  #rekey(childSaId: number): undefined {
    this.ikeSas = this.ikeSas.map((sa) => ({
      ...sa,
      childSas: sa.childSas.map((each) =>
        each.uniqueId === childSaId ? { ...each, uniqueId: each.uniqueId + 100, installedSeconds: 0 } : each,
      ),
    }));
  }
}

/** `load cygnet-x`, `initiate-child cygnet-y`: a step in words. */
export function stepWords(step: Step): string {
  const verb = step.kind === 'load-conn' ? 'load' : step.kind;
  return step.kind === 'load-credentials' || step.kind === 'load-crl' ? verb : `${verb} ${resourceOf(step)}`;
}

function resourceOf(step: Step): string {
  if (step.kind === 'load-credentials') return 'credentials';
  if (step.kind === 'load-crl') return 'crl';
  if (step.kind === 'unload-key') return step.keyId;
  if (step.kind === 'remove-routes') return 'routes';
  return step.kind === 'load-conn' ? step.connection.name : step.connection;
}

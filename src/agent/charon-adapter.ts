import { createHash } from 'node:crypto';
import type { Clock } from '../clock.ts';
import { CONNECTION_PREFIX, STEERING_PREFIX, type Connection } from '../ike/connection.ts';
import { ikeSaOf, type IkeSa } from '../ike/sa.ts';
import { loadConnRequest, plainOf } from '../ike/sections.ts';
import type { DataPlane, Steering } from '../ike/steering.ts';
import { digestOfText } from '../json.ts';
import {
  StepRefused,
  type Charon,
  type Executors,
  type ObservedState,
  type ObservedTrap,
} from '../reconcile/charon.ts';
import { trapKey } from '../reconcile/traps.ts';
import type { PathRoutes } from './path-routes.ts';
import { ViciError, type ViciCallCommand, type ViciReply, type ViciRequest, type ViciSession } from '../vici/index.ts';

/** charon tells its start in whole seconds. What the wall clock gains on the other one by itself meanwhile is far less. */
const CLOCK_SET_MS = 500;

/** The node's credentials in the form that charon takes. All DER. */
export interface CharonCredentials {
  /** The node's own certificate, sent to peers. */
  readonly own: Uint8Array;
  /** The mesh CA. */
  readonly ca: Uint8Array;
  /** Another CA that peers' certificates may be of. */
  readonly otherCa?: Uint8Array;
  /** The CAs above these, up to the root: charon believes in a CA only when it sees where its chain begins. */
  readonly chain?: readonly Uint8Array[];
  /** PKCS#8. Goes to charon and nowhere else. */
  readonly privateKey: Uint8Array;
  /** Stands for key, certificate and CA in the ledger. */
  readonly digest: string;
}

/** `digest` is a hash over the three, so that a new key, certificate or CA is loaded. */
export function charonCredentials(parts: Omit<CharonCredentials, 'digest'>): CharonCredentials {
  const hash = createHash('sha256');
  const cas = [...casOf(parts), ...(parts.chain ?? [])];
  for (const part of [parts.privateKey, parts.own, ...cas]) hash.update(createHash('sha256').update(part).digest());
  return { ...parts, digest: hash.digest('hex') };
}

/** Digest of the load-conn request of a connection. */
export function requestDigest(connection: Connection | Steering, credentials: IssuingCas): string {
  const request = plainOf(loadConnRequest(connection, ...casOf(credentials)));
  return digestOfText(JSON.stringify(request));
}

type IssuingCas = Pick<CharonCredentials, 'ca' | 'otherCa'>;

/** Those that peers' certificates may be of. */
function casOf({ ca, otherCa }: IssuingCas): readonly Uint8Array[] {
  return otherCa === undefined ? [ca] : [ca, otherCa];
}

/** All that a round may have to load besides connections, as it is at one moment. */
export interface CharonMaterial {
  /** Undefined while there are none that can be used: then nothing is loaded that needs them. */
  readonly credentials: CharonCredentials | undefined;
  /** The list of revoked certificates, DER; undefined while there is none. */
  readonly crl: Uint8Array | undefined;
}

export interface ViciCharonDeps {
  readonly session: Pick<ViciSession, 'call' | 'stream'>;
  readonly clock: Clock;
  /** Ms since the machine booted. */
  readonly bootMs: () => number;
  /** This node's routes into its XFRM interfaces. */
  readonly routes: Pick<PathRoutes, 'observe' | 'set' | 'remove'>;
}

/** A charon over one VICI session. Ends with the session. */
export class ViciCharon {
  readonly #deps: ViciCharonDeps;
  #version: string | undefined;

  constructor(deps: ViciCharonDeps) {
    this.#deps = deps;
  }

  /**
   * The reconciler's view for one round. What that loads is of this material, as its digests are, whatever is renewed
   * meanwhile.
   */
  with(material: CharonMaterial): Charon {
    return { observe: (signal) => this.#observe(signal), executors: this.#executorsWith(material) };
  }

  /** Who carries its packets; the same as long as it runs. */
  async dataPlane(signal: AbortSignal): Promise<DataPlane> {
    const { plugins } = await this.#deps.session.call('stats', undefined, { signal });
    return plugins.includes('kernel-libipsec') ? 'libipsec' : 'kernel';
  }

  /** The connections of our prefix that it has, whoever loaded them. */
  async connections(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const { conns } = await this.#deps.session.call('get-conns', undefined, { signal });
    return new Set(conns.filter((name) => name.startsWith(CONNECTION_PREFIX)));
  }

  async #observe(signal: AbortSignal): Promise<ObservedState> {
    const { session } = this.#deps;
    const [{ stats, charonStartMs }, connections, keys, ikeSas, traps, routes] = await Promise.all([
      this.#stats(signal),
      this.connections(signal),
      session.call('get-keys', undefined, { signal }),
      this.#ikeSas(signal),
      this.#traps(signal),
      this.#deps.routes.observe(),
    ]);
    const version = (this.#version ??= (await session.call('version', undefined, { signal })).version);
    return {
      charonSinceMs: Date.parse(stats.uptime.since),
      charonStartMs,
      charonVersion: version,
      idleWorkers: stats.workers.idle,
      connections,
      keyIds: new Set(keys.keys),
      ikeSas,
      traps,
      routes,
    };
  }

  /**
   * With the start of charon on the clock of `bootMs`. charon derives the date of it from its uptime and the wall clock,
   * which cancels out, unless it is set between charon's look at it and ours: then charon is asked again.
   */
  async #stats(signal: AbortSignal): Promise<{ readonly stats: ViciReply<'stats'>; readonly charonStartMs: number }> {
    const { session, clock, bootMs } = this.#deps;
    const bootedAtMs = (): number => clock.nowMs() - bootMs();
    for (;;) {
      const beforeMs = bootedAtMs();
      const stats = await session.call('stats', undefined, { signal });
      const afterMs = bootedAtMs();
      if (Math.abs(afterMs - beforeMs) > CLOCK_SET_MS) continue;
      return { stats, charonStartMs: Date.parse(stats.uptime.since) - afterMs };
    }
  }

  async #ikeSas(signal: AbortSignal): Promise<readonly IkeSa[]> {
    const ikeSas: IkeSa[] = [];
    for await (const sa of this.#deps.session.stream('list-sas', {}, { signal })) {
      if (sa.name.startsWith(CONNECTION_PREFIX)) ikeSas.push(ikeSaOf(sa));
    }
    return ikeSas;
  }

  async #traps(signal: AbortSignal): Promise<ReadonlyMap<string, ObservedTrap>> {
    const traps = new Map<string, ObservedTrap>();
    for await (const policy of this.#deps.session.stream('list-policies', { trap: true, drop: true }, { signal })) {
      const { ike: connection, child: name, 'local-ts': localTs, 'remote-ts': remoteTs } = policy;
      if (connection?.startsWith(STEERING_PREFIX) !== true) continue;
      traps.set(trapKey(connection, name), { connection, name, localTs, remoteTs });
    }
    return traps;
  }

  #executorsWith({ credentials, crl }: CharonMaterial): Executors {
    const { routes } = this.#deps;
    return {
      'load-credentials': async (_step, signal) => this.#loadCredentials(needed(credentials), signal),
      'load-crl': (_step, signal) => this.#loadCrl(crl, signal),
      'load-conn': async ({ connection }, signal) =>
        this.#ask('load-conn', loadConnRequest(connection, ...casOf(needed(credentials))), signal),
      'unload-conn': ({ connection }, signal) => this.#ask('unload-conn', { name: connection }, signal),
      'install-trap': ({ connection, trap }, signal) => this.#ask('install', { ike: connection, child: trap }, signal),
      'uninstall-trap': ({ connection, trap }, signal) =>
        this.#ask('uninstall', { ike: connection, child: trap }, signal),
      'set-routes': (step) => routes.set(step.routes, step.localSubnets),
      'divert-routes': (step) => routes.set(step.routes, step.localSubnets),
      'remove-routes': (step) => routes.remove(step.routes),
      'unload-key': ({ keyId }, signal) => this.#ask('unload-key', { id: keyId }, signal),
      // timeout -1: charon queues it and answers; what comes of it is seen in the next observation.
      'terminate-ike': ({ ikeSaId }, signal) => this.#ask('terminate', { 'ike-id': ikeSaId, timeout: -1 }, signal),
      // `force` sends one DELETE and does not wait (ike_sa.c), but only without a time-out (controller.c).
      'abandon-ike': ({ ikeSaId }, signal) =>
        this.#ask('terminate', { 'ike-id': ikeSaId, force: true, timeout: -1 }, signal),
      'rekey-child': ({ childSaId }, signal) => this.#ask('rekey', { 'child-id': childSaId }, signal),
      'terminate-child': ({ childSaId }, signal) =>
        this.#ask('terminate', { 'child-id': childSaId, timeout: -1 }, signal),
      'initiate-ike': ({ connection }, signal) => this.#ask('initiate', { ike: connection, timeout: -1 }, signal),
      'initiate-child': ({ connection, child }, signal) =>
        this.#ask('initiate', { ike: connection, child, timeout: -1 }, signal),
    };
  }

  /** The key last: until charon has it, it goes on using the former certificate, whose key is still there. */
  async #loadCredentials(credentials: CharonCredentials, signal: AbortSignal): Promise<string> {
    const { own, chain = [], privateKey } = credentials;
    for (const data of [...casOf(credentials), ...chain])
      await this.#ask('load-cert', { type: 'X509', flag: 'CA', data }, signal);
    await this.#ask('load-cert', { type: 'X509', flag: 'NONE', data: own }, signal);
    const { id } = await refusable(this.#deps.session.call('load-key', { type: 'any', data: privateKey }, { signal }));
    return id;
  }

  async #loadCrl(data: Uint8Array | undefined, signal: AbortSignal): Promise<undefined> {
    if (data === undefined) throw new StepRefused('there is no list of revoked certificates any more');
    await this.#ask('load-cert', { type: 'X509_CRL', data }, signal);
    // charon keeps every list that it has gone by in a cache of its own (cert_cache.c), and takes an old one from there
    // before the new one, as long as that is valid.
    await this.#ask('flush-certs', { type: 'X509_CRL' }, signal);
  }

  async #ask<C extends ViciCallCommand>(command: C, request: ViciRequest<C>, signal: AbortSignal): Promise<undefined> {
    await refusable(this.#deps.session.call(command, request, { signal }));
    return undefined;
  }
}

function needed(credentials: CharonCredentials | undefined): CharonCredentials {
  if (credentials === undefined) throw new StepRefused('the node has no certificate that it could show');
  return credentials;
}

/** Characters of charon's words that are kept: reports and frames have room for no more. */
const REFUSAL_MAX = 1000;

/** charon's "no" is for the reconciler to remember; a lost connection is not. */
async function refusable<T>(reply: Promise<T>): Promise<T> {
  try {
    return await reply;
  } catch (cause) {
    if (cause instanceof ViciError && cause.code === 'command-failed')
      throw new StepRefused(cause.detail.slice(0, REFUSAL_MAX), { cause });
    throw cause;
  }
}

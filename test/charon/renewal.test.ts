import { createPrivateKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  charonCredentials,
  requestDigest,
  ViciCharon,
  type CharonCredentials,
} from '../../src/agent/charon-adapter.ts';
import { systemClock } from '../../src/clock.ts';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { renewMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';
import type { Connection } from '../../src/ike/connection.ts';
import type { IkeSa } from '../../src/ike/sa.ts';
import type { Steering } from '../../src/ike/steering.ts';
import type { ObservedState } from '../../src/reconcile/charon.ts';
import { Reconciler } from '../../src/reconcile/loop.ts';
import { ViciClient, type ViciSession } from '../../src/vici/index.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';
import { desired, wishes } from '../reconcile/builders.ts';
import { canRunCharon } from './charon-daemon.ts';
import { CharonPair } from './charon-pair.ts';
import { toEdge, toHub } from './hub-tunnel.ts';

const signal = AbortSignal.timeout(60_000);

/** One node as its agent drives it: the real adapter and the real loop, without timers. */
class Node {
  readonly name: string;
  readonly session: ViciSession;
  #ca: MeshCa;
  readonly #charon: ViciCharon;
  readonly #connection: Connection;
  readonly #reconciler = new Reconciler({
    clock: systemClock,
    random: () => 0,
    ledger: undefined,
    saveLedger: () => true,
  });
  #credentials: CharonCredentials | undefined;

  constructor(name: string, session: ViciSession, ca: MeshCa, connection: Connection) {
    this.name = name;
    this.session = session;
    this.#ca = ca;
    this.#connection = connection;
    const bootMs = (): number => Number(process.hrtime.bigint() / 1_000_000n);
    this.#charon = new ViciCharon({ session, clock: systemClock, bootMs, routes: new MemoryRoutes() });
  }

  /** Gives it a new key and certificate, and the CA as it is then; the next rounds bring them to charon. */
  async certify(ca: MeshCa = this.#ca): Promise<Uint8Array> {
    this.#ca = ca;
    const key = await generatePrivateKey('ecdsa-p256');
    const issuance = { node: this.name, publicKey: publicKeyOf(key), nowMs: Date.now() };
    const own = new X509Certificate(await issueIkeCertificate(this.#ca, issuance)).raw;
    const privateKey = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
    this.#credentials = charonCredentials({ own, privateKey, ca: new X509Certificate(this.#ca.certificatePem).raw });
    return own;
  }

  /** Rounds until one has nothing to do and `settled` holds; the kinds of all steps that charon accepted. */
  async settle(settled: (observed: ObservedState) => boolean = () => true): Promise<string[]> {
    const kinds: string[] = [];
    for (;;) {
      const credentials = this.#credentials!;
      const target = {
        desired: desired(this.#connection),
        steering: [],
        credentialsDigest: credentials.digest,
        digestOf: (connection: Connection | Steering) => requestDigest(connection, credentials),
      };
      const charon = this.#charon.with({ credentials, crl: undefined });
      const { done, refusals, observed } = await this.#reconciler.round(charon, target, () => wishes(), signal);
      for (const { resource, message } of refusals) throw new Error(`${resource}: ${message}`);
      kinds.push(...done.map(({ kind }) => kind));
      if (done.length === 0 && settled(observed)) return kinds;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async ikeSas(): Promise<readonly IkeSa[]> {
    return (await this.#charon.with({ credentials: undefined, crl: undefined }).observe(signal)).ikeSas;
  }

  async keyIds(): Promise<readonly string[]> {
    return (await this.session.call('get-keys')).keys;
  }

  /** Whether this charon has seen this certificate of a peer. */
  async knows(certificate: Uint8Array): Promise<boolean> {
    for await (const { data } of this.session.stream('list-certs', { type: 'X509' })) {
      if (Buffer.from(data).equals(certificate)) return true;
    }
    return false;
  }
}

const isUp = ({ ikeSas }: ObservedState): boolean =>
  ikeSas.some(({ childSas }) => childSas.some(({ state }) => state === 'INSTALLED'));

/** What traffic depends on. */
const essenceOf = (ikeSas: readonly IkeSa[]): unknown =>
  ikeSas.map(({ uniqueId, initiatorSpi, childSas }) => ({
    uniqueId,
    initiatorSpi,
    childSas: childSas.map(({ spiIn, spiOut }) => ({ spiIn, spiOut })),
  }));

describe.runIf(canRunCharon).each(['5.9', '6.0'] as const)('a renewed certificate in strongSwan %s', (strongswan) => {
  let pair: CharonPair;
  let edge: Node;
  let hub: Node;
  let ca: MeshCa;
  const clients: ViciClient[] = [];

  beforeAll(async () => {
    ca = await meshCa();
    pair = await CharonPair.start({ strongswan });
    const start = async (name: string, socketPath: string, connection: Connection): Promise<Node> => {
      const client = new ViciClient({ socketPath });
      clients.push(client);
      const node = new Node(name, await client.session(), ca, connection);
      await node.certify();
      return node;
    };
    hub = await start('master1', pair.right.socketPath, toEdge);
    edge = await start('edge1', pair.left.socketPath, toHub);
    await hub.settle();
    await edge.settle(isUp);
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await pair[Symbol.asyncDispose]();
  });

  it('comes beside the old one, costs no SA, and leaves no old key behind', async () => {
    const before = { sas: essenceOf(await edge.ikeSas()), keys: await edge.keyIds() };
    await edge.certify();
    expect(await edge.settle()).toEqual(['load-credentials', 'unload-key']);
    expect(essenceOf(await edge.ikeSas())).toEqual(before.sas);
    expect(await edge.keyIds()).toHaveLength(1);
    expect(await edge.keyIds()).not.toEqual(before.keys);
  });

  it('leaves the IKE SA in use for the next CHILD SA', async () => {
    await edge.certify();
    await hub.certify();
    await edge.settle();
    await hub.settle();
    const [ikeSa] = await edge.ikeSas();
    await edge.session.call('terminate', { 'child-id': ikeSa!.childSas[0]!.uniqueId });
    expect(await edge.settle(isUp)).toEqual(['initiate-child']);
    expect((await edge.ikeSas()).map(({ uniqueId }) => uniqueId)).toEqual([ikeSa!.uniqueId]);
  });

  it('may come with a renewed CA: no SA ends, and ends with the old one and with the new one believe each other', async () => {
    const before = essenceOf(await edge.ikeSas());
    const younger = await renewMeshCa(ca, Date.now() + 60_000);
    await edge.certify(younger);
    expect(await edge.settle(isUp)).toEqual(['load-credentials', 'load-conn', 'unload-key']);
    expect(essenceOf(await edge.ikeSas())).toEqual(before);
    for (const late of [edge, hub]) {
      if (late === hub) await hub.certify(younger);
      await hub.settle();
      await edge.session.call('terminate', { ike: 'cygnet-hub-master1' });
      await edge.settle(isUp);
    }
  });

  it.each(['edge', 'hub'] as const)('of the %s is shown to the peer with the next IKE SA', async (renewed) => {
    const [own, peer] = renewed === 'edge' ? [edge, hub] : [hub, edge];
    const certificate = await own.certify();
    await own.settle();
    expect(await peer.knows(certificate)).toBe(false);
    await edge.session.call('terminate', { ike: 'cygnet-hub-master1' });
    await edge.settle(isUp);
    expect(await peer.knows(certificate)).toBe(true);
  });
});

import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Renewals } from '../../src/agent/renewals.ts';
import { storedIn, type NodeIdentity } from '../../src/agent/stored.ts';
import { systemClock } from '../../src/clock.ts';
import { encodeFrame } from '../../src/control/codec.ts';
import type { ChannelHost } from '../../src/coordinator/channel-host.ts';
import { createCsr } from '../../src/identity/csr.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { renew } from '../../src/identity/renew.ts';
import { CERTIFICATE_PURPOSES, type CertificatePurpose } from '../../src/identity/renewal.ts';
import { parseToken } from '../../src/identity/token.ts';
import { nodeNameSchema } from '../../src/ike/connection.ts';
import { createLogger } from '../../src/log.ts';
import { firstHello } from '../control/frame-builders.ts';
import { openTestServer } from '../coordinator/channel-fixture.ts';
import { CoreFixture } from '../coordinator/core-fixture.ts';
import { meshCa } from '../identity/mesh.ts';
import { temporaryFolder } from './temporary-folder.ts';

const DAY_MS = 86_400_000;
const { signal } = new AbortController();

let ca: MeshCa;
let mesh: CoreFixture;
let port: number;
let loseReply = false;

beforeAll(async () => {
  ca = await meshCa();
});
beforeEach(async () => {
  mesh = new CoreFixture(ca);
  loseReply = false;
  const server = await openTestServer(ca, losingReplies(mesh.core.channels));
  port = server.port;
  return async () => {
    await server[Symbol.asyncDispose]();
    mesh[Symbol.dispose]();
  };
});

/** The coordinator's core behind a port that dies after the work is done, if the test wants it. */
function losingReplies(host: ChannelHost): ChannelHost {
  return {
    nodeOfChannelKey: (key) => host.nodeOfChannelKey(key),
    revokedNodeOf: (key) => host.revokedNodeOf(key),
    adoptForgotten: (certificate, remote) => host.adoptForgotten(certificate, remote),
    opened: (channel, hello) => host.opened(channel, hello),
    received: (channel, frame) => host.received(channel, frame),
    closed: (channel) => host.closed(channel),
    refused: (peer) => host.refused(peer),
    enroll: (request, remote) => host.enroll(request, remote),
    mayRenewExpired: (node, certificate) => host.mayRenewExpired(node, certificate),
    renew: async (node, request) => {
      const reply = await host.renew(node, request);
      if (loseReply) throw new Error('the connection breaks');
      return reply;
    },
  };
}

class Crash extends Error {}

/** A node on disk, whose agent can be killed around each of its writes, and started again. */
class Node {
  readonly folder = temporaryFolder();
  readonly #stored = storedIn(this.folder);
  /** The write around which the agent ends: `before 1`, `after 2`. */
  crashes: string | undefined;
  readonly changes: CertificatePurpose[] = [];
  readonly events: string[] = [];
  renewals: Renewals;
  #identity: NodeIdentity | undefined;
  #writes = 0;

  private constructor(identity: NodeIdentity) {
    this.#stored.identity.write(identity);
    this.renewals = this.#start();
  }

  static enrolled(agoMs = 0): Promise<Node> {
    return Node.enrolledAs('edge1', agoMs);
  }

  static async enrolledAs(name: string, agoMs = 0): Promise<Node> {
    mesh.nowMs = Date.now() - agoMs;
    const { token } = mesh.core.tokens.issue(nodeNameSchema.parse(name), 3600);
    const [channel, ike] = [await generatePrivateKey('ecdsa-p256'), await generatePrivateKey('ecdsa-p256')];
    const csrs = { channelCsr: await createCsr(channel), ikeCsr: await createCsr(ike) };
    const reply = await mesh.core.channels.enroll({ secret: parseToken(token).secret, ...csrs }, '192.0.2.7');
    mesh.nowMs = Date.now();
    return new Node({
      node: name,
      mesh: ca.mesh,
      coordinatorUrl: `https://127.0.0.1:${port}`,
      ca: ca.certificatePem,
      channel: { key: channel, certificate: reply.channelCertificate },
      ike: { key: ike, certificate: reply.ikeCertificate! },
    });
  }

  /** An earlier agent has made this key, and asked for nothing yet. */
  prepare(purpose: CertificatePurpose, nextKey: string): void {
    this.#save({ ...this.identity, [purpose]: { ...this.identity[purpose], nextKey } });
  }

  get identity(): NodeIdentity {
    return this.#identity!;
  }

  /** Another channel certificate, by no doing of the agent's. */
  async freshenChannel(): Promise<void> {
    const { coordinatorUrl, channel } = this.identity;
    const key = await generatePrivateKey('ecdsa-p256');
    const csr = await createCsr(key);
    const request = {
      coordinatorUrl,
      ca: ca.certificatePem,
      channel,
      csr,
      nowMs: Date.now(),
      signal,
      timeoutMs: 30_000,
    };
    const { certificate } = await renew({ ...request, purpose: 'channel' });
    this.#save({ ...this.identity, channel: { key, certificate } });
  }

  enrolAnew(identity: NodeIdentity): void {
    this.#save(identity);
    this.renewals.enrolled();
  }

  restart(): void {
    this.crashes = undefined;
    this.renewals = this.#start();
  }

  /** The control channel is opened as the agent does it: with what is in use, and then with what that says. */
  async openChannel(): Promise<'open' | 'refused'> {
    const { key, certificate } = this.identity.channel;
    const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/channel`, {
      ca: ca.certificatePem,
      key,
      cert: certificate,
    });
    try {
      await once(socket, 'open');
    } catch {
      this.renewals.refused(key);
      return 'refused';
    }
    socket.send(encodeFrame(firstHello));
    socket.ping();
    await once(socket, 'pong');
    socket.terminate();
    this.renewals.worked('channel', key);
    return 'open';
  }

  /** charon holds the newest. */
  loadIntoCharon(): void {
    this.renewals.worked('ike', this.identity.ike!.key);
  }

  #start(): Renewals {
    this.#identity = this.#stored.identity.read();
    this.#writes = 0;
    return new Renewals({
      clock: systemClock,
      random: () => 0.5,
      logger: createLogger('test', 'silent'),
      keyType: 'ecdsa-p256',
      purposes: CERTIFICATE_PURPOSES,
      identity: () => this.#identity,
      save: (identity) => this.#save(identity),
      changed: (purpose) => this.changes.push(purpose),
      onEvent: ({ message }) => this.events.push(message),
      renew,
    });
  }

  #save(identity: NodeIdentity): void {
    this.#writes += 1;
    if (this.crashes === `before ${this.#writes}`) throw new Crash();
    this.#stored.identity.write(identity);
    if (this.crashes === `after ${this.#writes}`) throw new Crash();
    this.#identity = identity;
  }
}

describe('a renewal', () => {
  it('replaces both, with new keys, and keeps the former ones until the new ones have worked', async () => {
    const node = await Node.enrolled();
    const { channel, ike } = node.identity;
    const status = await node.renewals.renewNow(signal);
    expect(status).toMatchObject([
      { purpose: 'channel', problem: null },
      { purpose: 'ike', problem: null },
    ]);
    expect(node.changes).toEqual(['channel', 'ike']);
    const after = node.identity;
    expect([after.channel.former, after.ike?.former]).toEqual([channel, ike]);
    expect(new Set([channel.key, ike?.key, after.channel.key, after.ike?.key]).size).toBe(4);
    expect(await node.openChannel()).toBe('open');
    node.loadIntoCharon();
    for (const purpose of CERTIFICATE_PURPOSES) {
      expect(Object.keys(node.identity[purpose]!).sort()).toEqual(['certificate', 'key']);
    }
    expect(statSync(join(node.folder, 'identity.json')).mode & 0o777).toBe(0o600);
    expect(node.events).toEqual([
      expect.stringMatching(/^channel certificate renewed, valid until/),
      expect.stringMatching(/^IKE certificate renewed, valid until/),
    ]);
  });

  it('of what has worked meanwhile is of no concern to what was before it', async () => {
    const node = await Node.enrolled();
    const { key } = node.identity.channel;
    await node.renewals.renewNow(signal);
    node.renewals.worked('channel', key);
    expect(node.identity.channel.former?.key).toBe(key);
  });

  it('of a node that slept past the end of its certificates brings both back', async () => {
    const node = await Node.enrolled(32 * DAY_MS);
    expect(node.renewals.problems).toEqual([
      expect.stringMatching(/^the channel certificate has expired .* it is being renewed$/),
      expect.stringMatching(/^the IKE certificate has expired .* no new one can be set up: it is being renewed$/),
    ]);
    expect(await node.openChannel()).toBe('refused');
    await node.renewals.renewNow(signal);
    expect(await node.openChannel()).toBe('open');
    expect(node.renewals.problems).toEqual([]);
  });

  it('of a node that slept too long says that it has to be enrolled again', async () => {
    const node = await Node.enrolled(38 * DAY_MS);
    await expect(node.renewals.renewNow(signal)).rejects.toMatchObject({
      status: 502,
      message: expect.stringMatching(
        /expired too long ago; run "meshctl token create edge1" there, and agentctl enroll --again/,
      ) as string,
    });
  });

  it('of an identity that was replaced meanwhile changes nothing', async () => {
    const node = await Node.enrolled();
    const renewing = node.renewals.renewNow(signal);
    const other = (await Node.enrolled()).identity;
    node.enrolAnew(other);
    await expect(renewing).rejects.toThrow(/not renewed/);
    expect(node.identity).toEqual(other);
  });
});

describe('a crash during a renewal locks nobody out', () => {
  const points = ['before 1', 'after 1', 'before 2', 'after 2', 'before 3', 'after 3'];
  const cases = CERTIFICATE_PURPOSES.flatMap((purpose) =>
    [...points, 'reply lost'].map((point): [CertificatePurpose, string] => [purpose, point]),
  );

  it.each(cases)('%s: %s', async (purpose, point) => {
    const node = await Node.enrolled(purpose === 'ike' ? 20 * DAY_MS : 5 * DAY_MS);
    if (purpose === 'ike') {
      // The channel's is renewed first, so that what follows is about the other one.
      await node.freshenChannel();
      node.restart();
    }
    if (point === 'reply lost') loseReply = true;
    else node.crashes = point;
    await renewAlone(node, purpose);
    if (purpose === 'ike') expectCrash(() => node.loadIntoCharon());
    else if (!point.endsWith('1') && !point.endsWith('2')) await node.openChannel();
    const issued = mesh.store.renewals.certified(nodeNameSchema.parse('edge1'), purpose).at(-1)?.certificate;

    loseReply = false;
    node.restart();
    expect(await node.openChannel()).toBe('open');
    await renewAlone(node, purpose);
    expect(await node.openChannel()).toBe('open');
    node.loadIntoCharon();
    const { certificate, former, nextKey } = node.identity[purpose]!;
    expect([former, nextKey]).toEqual([undefined, undefined]);
    // What was issued before the crash is what the node has now: it was not issued twice.
    const wasIssued = point !== 'before 1' && point !== 'after 1';
    expect(certificate === issued).toBe(wasIssued);
  });
});

/** As the loop does: only what is due. */
async function renewAlone(node: Node, purpose: CertificatePurpose): Promise<void> {
  const due = node.renewals.status.find((status) => status.purpose === purpose)!.renewalAtMs <= Date.now();
  if (!due) return;
  const stop = new AbortController();
  const before = node.identity[purpose]?.certificate;
  const running = node.renewals.run(stop.signal);
  for (;;) {
    const { problem } = node.renewals.status.find((status) => status.purpose === purpose)!;
    if (problem !== null || node.identity[purpose]?.certificate !== before) break;
    await new Promise((resolve) => void setImmediate(resolve));
  }
  stop.abort();
  await running;
}

function expectCrash(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
  }
}

describe('a new certificate that is not accepted', () => {
  const edge1 = nodeNameSchema.parse('edge1');

  /** A node whose new channel certificate its coordinator has forgotten: it was restored from an earlier backup. */
  async function forgotten(): Promise<{ readonly node: Node; readonly former: NodeIdentity['channel'] }> {
    const node = await Node.enrolled(5 * DAY_MS);
    const former = node.identity.channel;
    await renewAlone(node, 'channel');
    mesh.store.renewals.put(edge1, 'channel', { key: 'another', certificate: former.certificate });
    return { node, former };
  }

  it('gives way to the one before it, and the renewal begins anew', async () => {
    const { node, former } = await forgotten();
    expect(await node.openChannel()).toBe('refused');
    expect(node.identity.channel).toEqual(former);
    expect(await node.openChannel()).toBe('open');
    await node.renewals.renewNow(signal);
    expect(await node.openChannel()).toBe('open');
    expect(node.identity.channel.key).not.toBe(former.key);
  });

  it('gives way as well when it is a renewal that shows it', async () => {
    const { node, former } = await forgotten();
    await expect(node.renewals.renewNow(signal)).rejects.toThrow(/does not know/);
    expect(node.identity.channel.key).toBe(former.key);
    await node.renewals.renewNow(signal);
    expect(await node.openChannel()).toBe('open');
  });

  it('for its key is asked for with another key the next time', async () => {
    const node = await Node.enrolled();
    const used = await Node.enrolledAs('remote');
    node.prepare('ike', used.identity.ike!.key);
    await expect(node.renewals.renewNow(signal)).rejects.toThrow(/has had its certificate/);
    expect(node.identity.ike).not.toHaveProperty('nextKey');
    await node.renewals.renewNow(signal);
  });
});

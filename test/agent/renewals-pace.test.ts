import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { StateFileError } from '../../src/agent/disk.ts';
import { Renewals } from '../../src/agent/renewals.ts';
import type { NodeIdentity } from '../../src/agent/stored.ts';
import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import { IdentityError } from '../../src/identity/identity-error.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { renewMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';
import type { MeshAuthority } from '../../src/identity/renew.ts';
import { CERTIFICATE_PURPOSES, type CertificatePurpose } from '../../src/identity/renewal.ts';
import { createLogger } from '../../src/log.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';

const MINUTE_MS = 60_000;
const STEP_MS = 5 * MINUTE_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

let ca: MeshCa;
let key: string;
beforeAll(async () => {
  ca = await meshCa();
  key = await generatePrivateKey('ecdsa-p256');
});
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** A node whose time, wall clock and coordinator are the test's. */
class Node {
  nowMs = Date.now();
  monotonicMs = 0;
  /** When the coordinator was asked (monotonic), and for what. */
  readonly asked: { readonly atMs: number; readonly purpose: CertificatePurpose }[] = [];
  readonly events: string[] = [];
  /** What the coordinator answers with; by default a certificate. */
  refuses: IdentityError | undefined;
  /** What the disk says to a write. */
  diskProblem: Error | undefined;
  /** What it says of the mesh's CA. */
  authority: MeshAuthority | undefined;
  /** How far the coordinator's clock is from the node's. */
  coordinatorAheadMs = 0;
  readonly renewals: Renewals;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #identity: NodeIdentity | undefined;

  private constructor(identity: NodeIdentity) {
    this.#identity = identity;
    this.renewals = new Renewals({
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.monotonicMs },
      random: () => 0.5,
      logger: createLogger('test', 'silent'),
      keyType: 'ecdsa-p256',
      purposes: CERTIFICATE_PURPOSES,
      identity: () => this.#identity,
      save: (saved) => this.#save(saved),
      changed: () => undefined,
      onEvent: ({ message }) => this.events.push(message),
      renew: async ({ purpose }) => ({ certificate: await this.#renew(purpose), authority: this.authority }),
    });
    this.#running = this.renewals.run(this.#stop.signal);
  }

  static async enrolled(): Promise<Node> {
    const issuance = { node: 'edge1', publicKey: publicKeyOf(key), nowMs: Date.now() };
    return new Node({
      node: 'edge1',
      mesh: ca.mesh,
      coordinatorUrl: 'https://203.0.113.10:7443',
      ca: ca.certificatePem,
      channel: { key, certificate: await issueChannelCertificate(ca, issuance) },
      ike: { key, certificate: await issueIkeCertificate(ca, issuance) },
    });
  }

  /** Time goes by, a few minutes at a time. */
  async pass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= STEP_MS) {
      this.nowMs += STEP_MS;
      this.monotonicMs += STEP_MS;
      await vi.advanceTimersByTimeAsync(STEP_MS);
      await this.#settled();
    }
  }

  get identity(): NodeIdentity {
    return this.#identity!;
  }

  /** How often the coordinator was asked for this. */
  count(purpose: CertificatePurpose): number {
    return this.asked.filter((each) => each.purpose === purpose).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Keys are made and used in other threads; when all is done for now, the loop waits for its next look. */
  async #settled(): Promise<void> {
    while (vi.getTimerCount() === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  #save(identity: NodeIdentity): void {
    if (this.diskProblem !== undefined) throw this.diskProblem;
    this.#identity = identity;
  }

  async #renew(purpose: CertificatePurpose): Promise<string> {
    this.asked.push({ atMs: this.monotonicMs, purpose });
    const nextKey = this.#identity![purpose]!.nextKey!;
    if (this.refuses !== undefined) throw this.refuses;
    const issuance = { node: 'edge1', publicKey: publicKeyOf(nextKey), nowMs: this.nowMs + this.coordinatorAheadMs };
    return purpose === 'channel' ? issueChannelCertificate(ca, issuance) : issueIkeCertificate(ca, issuance);
  }
}

const unreachable = new IdentityError('coordinator-unreachable', 'connect ECONNREFUSED');

describe('renewals', () => {
  it('come when about half of each life is over, and again after half of the next', async () => {
    await using node = await Node.enrolled();
    await node.pass(2.5 * DAY_MS);
    expect(node.asked).toEqual([]);
    await node.pass(2 * DAY_MS);
    expect(node.count('channel')).toBe(1);
    await node.pass(14 * DAY_MS);
    expect(node.count('channel')).toBeGreaterThanOrEqual(4);
    expect(node.count('channel')).toBeLessThanOrEqual(6);
    expect(node.count('ike')).toBe(1);
    expect(node.renewals.problems).toEqual([]);
  });

  it('that have worked are on disk as such as soon as that takes it, and until then it is told', async () => {
    await using node = await Node.enrolled();
    node.nowMs += 4.3 * DAY_MS;
    await node.pass(STEP_MS);
    node.diskProblem = new StateFileError('identity.json: ENOSPC: no space left on device, write');
    node.renewals.worked('channel', node.identity.channel.key);
    await node.pass(STEP_MS);
    expect(node.renewals.problems).toEqual([
      expect.stringMatching(/^the channel certificate has worked, which is not on disk: .*no space left/),
    ]);
    node.diskProblem = undefined;
    await node.pass(STEP_MS);
    expect(node.identity.channel).not.toHaveProperty('former');
    expect(node.renewals.problems).toEqual([]);
  });

  it('that fail are tried again with a back-off that has an end, and all is well when one succeeds', async () => {
    await using node = await Node.enrolled();
    node.refuses = unreachable;
    node.nowMs += 4.3 * DAY_MS;
    await node.pass(4 * HOUR_MS);
    const times = node.asked.filter(({ purpose }) => purpose === 'channel').map(({ atMs }) => atMs);
    const gaps = times.slice(1).map((atMs, index) => atMs - times[index]!);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(15 * MINUTE_MS);
    expect(Math.min(...gaps.slice(8))).toBeGreaterThanOrEqual(5 * MINUTE_MS);
    expect(node.renewals.problems).toEqual([
      expect.stringMatching(
        /^the channel certificate is valid until .* UTC: not renewed, the coordinator cannot be reached/,
      ),
    ]);
    expect(node.events).toHaveLength(1);
    node.nowMs += 3 * DAY_MS;
    expect(node.renewals.problems).toEqual([
      expect.stringMatching(/^the channel certificate has expired .* tunnels stay as they are: not renewed/),
    ]);
    node.refuses = undefined;
    await node.pass(15 * MINUTE_MS);
    expect(node.renewals.problems).toEqual([]);
  });

  it('wait as long as the coordinator asks for, but look again after a day', async () => {
    await using node = await Node.enrolled();
    node.nowMs += 4.3 * DAY_MS;
    node.refuses = new IdentityError('renewal-refused', 'ten are enough', { retryAfterMs: 3 * HOUR_MS });
    await node.pass(2.5 * HOUR_MS);
    expect(node.asked).toHaveLength(1);
    expect(node.renewals.problems).toEqual([expect.stringMatching(/not renewed: ten are enough$/)]);
    node.refuses = new IdentityError('renewal-refused', 'ten are enough', { retryAfterMs: 365 * DAY_MS });
    await node.pass(HOUR_MS);
    expect(node.asked).toHaveLength(2);
    await node.pass(23 * HOUR_MS);
    expect(node.asked).toHaveLength(2);
    await node.pass(2 * HOUR_MS);
    expect(node.asked).toHaveLength(3);
  });

  it.each([
    ['ahead', 365 * DAY_MS],
    ['back', -365 * DAY_MS],
  ])('do not go wild when the wall clock jumps %s, and forget it when it is right again', async (_where, stepMs) => {
    await using node = await Node.enrolled();
    await node.pass(HOUR_MS);
    node.nowMs += stepMs;
    node.refuses = new IdentityError('bad-clock', 'check the clocks');
    await node.pass(4 * HOUR_MS);
    expect(node.asked.length).toBeLessThanOrEqual(2 * 60);
    if (stepMs < 0) expect(node.asked).toEqual([]);
    node.nowMs -= stepMs;
    node.refuses = undefined;
    await node.pass(HOUR_MS);
    expect(node.renewals.problems).toEqual([]);
    expect(node.renewals.status.every(({ problem }) => problem === null)).toBe(true);
  });

  it('are an hour apart when the coordinator’s clock makes each certificate old at once', async () => {
    await using node = await Node.enrolled();
    node.coordinatorAheadMs = -6 * DAY_MS;
    node.nowMs += 5 * DAY_MS;
    await node.pass(DAY_MS);
    expect(node.count('channel')).toBeGreaterThan(1);
    expect(node.count('channel')).toBeLessThanOrEqual(24);
  });

  it('come at once when the coordinator takes the certificate for expired', async () => {
    await using node = await Node.enrolled();
    node.renewals.refused(key);
    await node.pass(MINUTE_MS);
    expect(node.count('channel')).toBe(1);
    expect(node.count('ike')).toBe(0);
  });

  it('bring a renewed CA, which takes the place of the one before it, and of its chain', async () => {
    await using node = await Node.enrolled();
    const before = node.identity;
    node.nowMs += 4.3 * DAY_MS;
    node.authority = { ca: 'PEM of the CA', chain: 'PEM of the root' };
    await node.pass(STEP_MS);
    expect(node.identity).toMatchObject({ ...node.authority, node: 'edge1', ike: before.ike });
    const { certificatePem } = await renewMeshCa(ca, node.nowMs);
    node.authority = { ca: certificatePem };
    node.nowMs += 15 * DAY_MS;
    await node.pass(STEP_MS);
    expect(node.identity.ca).toBe(certificatePem);
    expect(node.identity.chain).toBeUndefined();
  });

  it('tell long before that the CA ends', async () => {
    await using node = await Node.enrolled();
    node.nowMs += 10 * 365 * DAY_MS - 100 * DAY_MS;
    expect(node.renewals.problems.at(-1)).toMatch(/^the mesh CA is valid until/);
  });
});

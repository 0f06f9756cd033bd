import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { StateFileError } from '../../src/agent/disk.ts';
import { Enrolments } from '../../src/agent/enrolments.ts';
import { enrolNode, type EnrolDeps, type Enrolled } from '../../src/agent/enrol.ts';
import { StateKeeper } from '../../src/agent/state-keeper.ts';
import { pinnedTrust } from '../../src/agent/state-trust.ts';
import { storedIn, type Stored } from '../../src/agent/stored.ts';
import { systemClock } from '../../src/clock.ts';
import type { ChannelServer } from '../../src/coordinator/channel-server.ts';
import { EnrolmentRefused } from '../../src/coordinator/enrol-refused.ts';
import { verifyCsr } from '../../src/identity/csr.ts';
import type { EnrolmentRequest } from '../../src/identity/enrolment.ts';
import { caPinOf, type MeshCa } from '../../src/identity/mesh-ca.ts';
import { createToken } from '../../src/identity/token.ts';
import { FakeHost, openTestServer } from '../coordinator/channel-fixture.ts';
import { MESH, meshCa } from '../identity/mesh.ts';
import { certify } from './certify.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { canonicalJson } from '../../src/json.ts';
import { MESH_KEY, OTHER_KEY, nextKey, signedState } from '../control/statements.ts';
import { desired, spoke } from '../reconcile/builders.ts';

const never = new AbortController().signal;

let ca: MeshCa;
let host: FakeHost;
let server: ChannelServer;
let command: { readonly coordinator: string; readonly token: string };

beforeAll(async () => {
  ca = await meshCa();
});
beforeEach(async () => {
  host = new FakeHost();
  host.enrolment = (request) => certify(ca, request);
  server = await openTestServer(ca, host);
  command = { coordinator: `https://127.0.0.1:${server.port}`, token: createToken(caPinOf(ca.certificatePem)) };
  return () => server[Symbol.asyncDispose]();
});

type Command = Parameters<typeof enrolNode>[1];

/** Of an agent that has just started. */
function depsIn(stored: EnrolDeps['stored']): EnrolDeps {
  const identity = stored.identity.readIfUsable(() => undefined);
  return {
    stored,
    keyType: 'ecdsa-p256',
    isIkePlaced: false,
    clock: systemClock,
    pinned: (keys) => pinnedTrust(keys, undefined, undefined),
    identity: () => identity,
    onUnusable: () => undefined,
  };
}

function enrolIn(
  stored: EnrolDeps['stored'],
  keyType: EnrolDeps['keyType'],
  request: Command,
  change: Partial<EnrolDeps> = {},
): Promise<Enrolled> {
  return enrolNode({ ...depsIn(stored), keyType, ...change }, request, never);
}

describe('an enrolment', () => {
  it('stores an identity whose keys fit its certificates', async () => {
    const stored = storedIn(temporaryFolder());
    const { identity, trust } = await enrolIn(stored, 'ecdsa-p384', command);
    expect(stored.identity.read()).toEqual(identity);
    expect(stored.trust.read()).toEqual(trust);
    expect(trust).toEqual({ mesh: ca.mesh, node: 'edge1', keys: [MESH_KEY.publicKey], retired: null, latest: null });
    expect(identity).toMatchObject({ node: 'edge1', mesh: ca.mesh, coordinatorUrl: command.coordinator });
    const fits = (certificate: string, key: string): boolean =>
      new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
    expect(fits(identity.channel.certificate, identity.channel.key)).toBe(true);
    expect(fits(identity.ike!.certificate, identity.ike!.key)).toBe(true);
  });

  it('comes with the same keys again when its reply was lost', async () => {
    const stored = storedIn(temporaryFolder());
    const asked: string[] = [];
    host.enrolment = async (request) => {
      asked.push((await verifyCsr(request.channelCsr)).spkiSha256, (await verifyCsr(request.ikeCsr!)).spkiSha256);
      if (asked.length <= 2) throw new Error('the connection broke');
      return await certify(ca, request);
    };
    await expect(enrolIn(stored, 'ecdsa-p256', command)).rejects.toMatchObject({ status: 502 });
    expect(stored.identity.read()).toBeUndefined();
    await enrolIn(stored, 'ecdsa-p256', command);
    expect(asked.slice(2)).toEqual(asked.slice(0, 2));
  });

  it('makes new keys when the ones of the last try are damaged, and tells', async () => {
    const folder = temporaryFolder();
    const stored = storedIn(folder);
    writeFileSync(join(folder, 'enrolment.json'), '{"sha256":"');
    const unusable: string[] = [];
    const onUnusable = (error: Error): void => void unusable.push(error.message);
    const { identity } = await enrolIn(stored, 'ecdsa-p256', command, { onUnusable });
    expect(stored.identity.read()).toEqual(identity);
    expect(unusable).toEqual([expect.stringContaining('enrolment.json')]);
  });

  it('goes on with the same keys after a disk that failed when the identity was there already', async () => {
    const stored = storedIn(temporaryFolder());
    const write = stored.identity.write.bind(stored.identity);
    stored.identity.write = (identity) => {
      write(identity);
      stored.identity.write = write;
      throw new StateFileError('identity.json: EIO: i/o error, fsync');
    };
    const enrolments = new Enrolments({ ...depsIn(stored), enrolled: () => undefined });
    const refusal = { code: 'not-written', message: expect.stringMatching(/EIO.* run the same command again/) };
    await expect(enrolments.enroll(command, never)).rejects.toThrow(expect.objectContaining(refusal));
    const first = stored.identity.read();
    await enrolments.enroll(command, never);
    expect(stored.identity.read()?.channel.key).toBe(first?.channel.key);
    expect(stored.pendingKeys.read()).toBeUndefined();
  });

  it('stands when the keys that it was made with cannot be removed, and tells', async () => {
    const stored = storedIn(temporaryFolder());
    stored.pendingKeys.remove = () => {
      throw new StateFileError('enrolment.json: EIO: i/o error, unlink');
    };
    const unusable: string[] = [];
    const onUnusable = (error: Error): void => void unusable.push(error.message);
    const { identity } = await enrolIn(stored, 'ecdsa-p256', command, { onUnusable });
    expect(stored.identity.read()).toEqual(identity);
    expect(unusable).toEqual([expect.stringContaining('EIO')]);
  });

  it('makes new keys when a crash has left those behind that the identity has', async () => {
    const stored = storedIn(temporaryFolder());
    const before = (await enrolIn(stored, 'ecdsa-p256', command)).identity;
    const left = { keyType: 'ecdsa-p256', channelKey: before.channel.key, ikeKey: before.ike!.key } as const;
    for (const former of [undefined, { key: before.channel.key, certificate: before.channel.certificate }]) {
      stored.pendingKeys.write(left);
      if (former !== undefined) {
        const channel = { ...before.channel, key: 'next', former };
        stored.identity.write({ ...before, channel, ike: { ...before.ike!, key: 'next' } });
      }
      const { identity } = await enrolIn(stored, 'ecdsa-p256', command);
      expect(identity.channel.key).not.toBe(before.channel.key);
      expect(identity.ike?.key).not.toBe(before.ike?.key);
    }
  });

  it.each([
    ['behind', -2],
    ['ahead', 24 * 8],
  ])(
    'is not finished while the node’s clock is %s, and goes on with the same keys when it is right',
    async (_how, hours) => {
      const stored = storedIn(temporaryFolder());
      const clock = { nowMs: () => Date.now() + hours * 3_600_000 };
      await expect(enrolIn(stored, 'ecdsa-p256', command, { clock })).rejects.toMatchObject({
        status: 502,
        code: 'bad-clock',
        message: expect.stringContaining('the clocks of this machine and of the coordinator differ') as string,
      });
      expect([stored.identity.read(), stored.trust.read()]).toEqual([undefined, undefined]);
      const kept = stored.pendingKeys.read();
      const { identity } = await enrolIn(stored, 'ecdsa-p256', command);
      expect(identity.channel.key).toBe(kept?.channelKey);
    },
  );

  it('of a node whose IKE certificate is placed asks for none, and makes no key for one', async () => {
    const stored = storedIn(temporaryFolder());
    const asked: EnrolmentRequest[] = [];
    host.enrolment = (request) => {
      asked.push(request);
      return Promise.reject(new Error('the connection broke'));
    };
    const isIkePlaced = true;
    await expect(enrolIn(stored, 'ecdsa-p256', command, { isIkePlaced })).rejects.toMatchObject({ status: 502 });
    const kept = stored.pendingKeys.read();
    expect([asked[0], kept]).toEqual([
      expect.not.objectContaining({ ikeCsr: expect.anything() as unknown }),
      expect.not.objectContaining({ ikeKey: expect.anything() as unknown }),
    ]);
    host.enrolment = (request) => certify(ca, request);
    const { identity } = await enrolIn(stored, 'ecdsa-p256', command, { isIkePlaced });
    expect(identity.channel.key).toBe(kept?.channelKey);
    expect(identity).not.toHaveProperty('ike');
    expect(stored.identity.read()).toEqual(identity);
  });

  it('comes with new keys when an IKE certificate is placed since, or no longer', async () => {
    const stored = storedIn(temporaryFolder());
    const channelKeys = new Set<string | undefined>();
    for (const isIkePlaced of [false, true, false]) {
      host.enrolment = () => Promise.reject(new Error('the connection broke'));
      await expect(enrolIn(stored, 'ecdsa-p256', command, { isIkePlaced })).rejects.toMatchObject({ status: 502 });
      channelKeys.add(stored.pendingKeys.read()?.channelKey);
    }
    expect(channelKeys.size).toBe(3);
    host.enrolment = (request) => certify(ca, request);
    expect((await enrolIn(stored, 'ecdsa-p256', command)).identity).toHaveProperty('ike');
  });

  it('comes with new keys when they are to be of another kind', async () => {
    const stored = storedIn(temporaryFolder());
    host.enrolment = () => Promise.reject(new Error('the connection broke'));
    await expect(enrolIn(stored, 'ecdsa-p256', command)).rejects.toMatchObject({ status: 502 });
    const before = stored.pendingKeys.read();
    host.enrolment = (request) => certify(ca, request);
    const { identity } = await enrolIn(stored, 'ecdsa-p384', command);
    expect(createPrivateKey(identity.ike!.key).asymmetricKeyDetails).toMatchObject({ namedCurve: 'secp384r1' });
    expect(identity.channel.key).not.toBe(before?.channelKey);
  });

  it.each([
    ['a fragment', (url: string) => `${url}#x`],
    ['a password', (url: string) => url.replace('//', '//:secret@')],
  ])('goes to no coordinator whose URL has %s', async (_what, change) => {
    const stored = storedIn(temporaryFolder());
    const coordinator = change(command.coordinator);
    await expect(enrolIn(stored, 'ecdsa-p256', { ...command, coordinator })).rejects.toMatchObject({
      status: 400,
      code: 'bad-url',
    });
    expect(stored.identity.read()).toBeUndefined();
  });

  it.each([
    ['a damaged token is the user’s fault', { token: 'cyg1.x' }, { status: 400, code: 'bad-token' }],
    ['a bad URL is the user’s fault', { coordinator: 'http://x' }, { status: 400, code: 'bad-url' }],
    [
      'a coordinator of another mesh is none',
      { token: createToken('00'.repeat(32)) },
      { status: 502, code: 'wrong-ca' },
    ],
    ['nobody there', { coordinator: 'https://127.0.0.1:1' }, { status: 502, code: 'coordinator-unreachable' }],
  ])('refuses: %s', async (_what, change, refusal) => {
    const stored = storedIn(temporaryFolder());
    await expect(enrolIn(stored, 'ecdsa-p256', { ...command, ...change })).rejects.toMatchObject({
      name: 'LocalRefusal',
      ...refusal,
    });
    expect(stored.identity.read()).toBeUndefined();
  });

  it('passes on why the coordinator refuses', async () => {
    host.enrolment = () => Promise.reject(new EnrolmentRefused('token-used', 'this token was used already'));
    await expect(enrolIn(storedIn(temporaryFolder()), 'ecdsa-p256', command)).rejects.toMatchObject({
      code: 'token-refused',
      message: expect.stringContaining('used already') as string,
    });
  });

  it('makes new keys after the coordinator has refused the old ones for good', async () => {
    const stored = storedIn(temporaryFolder());
    const asked: string[] = [];
    host.enrolment = async (request) => {
      asked.push((await verifyCsr(request.channelCsr)).spkiSha256);
      if (asked.length === 1) throw new EnrolmentRefused('key-refused', 'one of the keys was revoked');
      return await certify(ca, request);
    };
    await expect(enrolIn(stored, 'ecdsa-p256', command)).rejects.toMatchObject({
      code: 'keys-refused',
      message: expect.stringContaining('run the same command again') as string,
    });
    await enrolIn(stored, 'ecdsa-p256', command);
    expect(asked[1]).not.toBe(asked[0]);
  });

  it('says what the node is called when it was told so', async () => {
    let asked: unknown;
    host.enrolment = (request) => {
      asked = request.node;
      return certify(ca, request);
    };
    await enrolIn(storedIn(temporaryFolder()), 'ecdsa-p256', { ...command, name: 'edge1' });
    expect(asked).toBe('edge1');
  });
});

describe('an enrolment again that a crash ends before any of its writes', () => {
  /** What the node holds, signed by {@link MESH_KEY} at first, and what comes after it. */
  const heldText = canonicalJson({ ...desired(spoke()), mesh: MESH });
  const nextText = canonicalJson({ ...desired(), mesh: MESH });

  /** These files, until the machine dies before the operation of this number. */
  function dyingBefore(stored: Stored, operation: number): Stored {
    let operations = 0;
    const count = (): void => {
      operations += 1;
      if (operations >= operation) throw new Error('the machine has died');
    };
    const dying = <T extends object>(file: T): T =>
      new Proxy(file, {
        get: (target, name) => {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return (...args: unknown[]): unknown => {
            if (name === 'write' || name === 'remove') count();
            return value.apply(target, args);
          };
        },
      });
    return {
      ...stored,
      pendingKeys: dying(stored.pendingKeys),
      trust: dying(stored.trust),
      identity: dying(stored.identity),
    };
  }

  /** An agent that has just been started with what is on disk. */
  function started(folder: string): { readonly stored: Stored; readonly keeper: StateKeeper } {
    const stored = storedIn(folder);
    const { trust: trustFile, desired: desiredFile } = stored;
    const self = stored.identity.read();
    const keeper = new StateKeeper({ clock: systemClock, trustFile, desiredFile, self, onUnusable: () => undefined });
    return { stored, keeper };
  }

  /** The folder of a node that was enrolled, holds a state, and may have heard of the mesh's next key. */
  async function heldIn(isTold: boolean): Promise<string> {
    const folder = temporaryFolder();
    await enrolIn(storedIn(folder), 'ecdsa-p256', command);
    const { keeper } = started(folder);
    const signed = signedState(heldText, { mesh: MESH });
    expect(keeper.receive({ type: 'snapshot', signed, state: heldText }).kind).toBe('changed');
    if (isTold) keeper.introduce({ type: 'keys', introductions: [nextKey(MESH_KEY, OTHER_KEY, MESH)] });
    return folder;
  }

  async function enrolAgain(folder: string, operation: number): Promise<void> {
    const { stored, keeper } = started(folder);
    const pinned: EnrolDeps['pinned'] = (keys) => keeper.pinned(keys);
    await enrolIn(dyingBefore(stored, operation), 'ecdsa-p256', command, { pinned });
  }

  it.each([
    ['has heard of', true],
    ['has not heard of', false],
  ])('leaves the state believed, with a key that the node %s', async (_what, isTold) => {
    for (let operation = 1; operation <= 5; operation += 1) {
      host.enrolment = (request) => certify(ca, request);
      const folder = await heldIn(isTold);
      host.enrolment = async (request) => ({ ...(await certify(ca, request)), signingKeys: [OTHER_KEY.publicKey] });
      const ended = enrolAgain(folder, operation);
      // The keys, the trust, the identity; and the keys that are pending no more.
      if (operation <= 4) await expect(ended, `${operation}`).rejects.toThrow('has died');
      else await ended;
      expect(started(folder).keeper.held?.text, `after ${operation - 1} of its writes`).toBe(heldText);
      await enrolAgain(folder, Infinity);
      const { keeper } = started(folder);
      expect(keeper.held?.text).toBe(heldText);
      const signed = signedState(nextText, { mesh: MESH, generation: 6, allowMassRemoval: true }, OTHER_KEY);
      expect(keeper.receive({ type: 'snapshot', signed, state: nextText }).kind).toBe('changed');
    }
  });

  it('as another node leaves it the node that it was, or makes it the other one', async () => {
    for (let operation = 1; operation <= 5; operation += 1) {
      host.enrolment = (request) => certify(ca, request);
      const folder = await heldIn(false);
      host.enrolment = async (request) => ({ ...(await certify(ca, request)), node: 'edge2' });
      await enrolAgain(folder, operation).catch(() => undefined);
      const { stored, keeper } = started(folder);
      const isOther = stored.identity.read()?.node === 'edge2';
      expect(isOther, `${operation}`).toBe(operation > 3);
      expect(keeper.held?.text).toBe(isOther ? undefined : heldText);
      expect(keeper.keys).toEqual([MESH_KEY.publicKey]);
    }
  });

  it('as another node that fails again and again leaves it the node that it was', async () => {
    const folder = await heldIn(false);
    host.enrolment = async (request) => ({ ...(await certify(ca, request)), node: 'edge2' });
    const { stored, keeper } = started(folder);
    stored.identity.write = () => {
      throw new StateFileError('no space left');
    };
    const pinned: EnrolDeps['pinned'] = (keys) => keeper.pinned(keys);
    for (let time = 1; time <= 2; time += 1) {
      await expect(enrolIn(stored, 'ecdsa-p256', command, { pinned })).rejects.toThrow('no space left');
    }
    expect(started(folder).keeper.held?.text).toBe(heldText);
  });
});

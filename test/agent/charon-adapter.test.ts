import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { charonCredentials, requestDigest, ViciCharon } from '../../src/agent/charon-adapter.ts';
import { systemClock } from '../../src/clock.ts';
import { localState, type DataPlane, type Steering } from '../../src/ike/steering.ts';
import { executeStep, StepRefused, type Charon, type ObservedState, type Step } from '../../src/reconcile/charon.ts';
import type { ViciSection } from '../../src/vici/index.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { FakeCharon } from '../../src/vici/testing/index.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { addressed, child, desired, mediatedPeer, medsrv, spoke } from '../reconcile/builders.ts';

const parts = { own: Uint8Array.of(1, 2), ca: Uint8Array.of(3), privateKey: Uint8Array.of(4) };

describe('the digest of the credentials', () => {
  it('is the same for the same three', () =>
    expect(charonCredentials(parts).digest).toBe(charonCredentials({ ...parts }).digest));

  it.each([
    ['key', { ...parts, privateKey: Uint8Array.of(5) }],
    ['certificate', { ...parts, own: Uint8Array.of(1) }],
    ['CA', { ...parts, ca: Uint8Array.of(2, 3) }],
    ['border between them', { ...parts, own: Uint8Array.of(1), ca: Uint8Array.of(2, 3) }],
  ])('changes with the %s', (_what, changed) =>
    expect(charonCredentials(changed).digest).not.toBe(charonCredentials(parts).digest),
  );
});

describe('the digest of a request', () => {
  const credentials = charonCredentials(parts);
  const before = requestDigest(spoke(), credentials);

  it('is the same for the same request', () => expect(requestDigest(spoke(), credentials)).toBe(before));

  it.each([
    ['a field of the connection', requestDigest({ ...spoke(), localId: 'other' }, credentials)],
    ['a field of a child', requestDigest(spoke([child('edge1--remote', { priority: 1999 })]), credentials)],
    ['another CA besides', requestDigest(spoke(), charonCredentials({ ...parts, otherCa: Uint8Array.of(9) }))],
    ['the CA', requestDigest(spoke(), charonCredentials({ ...parts, ca: Uint8Array.of(9) }))],
    ['the connection', requestDigest(mediatedPeer(), credentials)],
  ])('changes with %s', (_what, digest) => expect(digest).not.toBe(before));

  it('does not change with key and certificate: a renewal must not replace a connection', () => {
    const renewed = charonCredentials({ ...parts, own: Uint8Array.of(9), privateKey: Uint8Array.of(8) });
    expect(requestDigest(spoke(), renewed)).toBe(before);
  });

  it('does not change with what charon is not told', () => {
    const otherLink = { ...spoke(), children: spoke().children.map((one) => ({ ...one, start: 'add' as const })) };
    expect(requestDigest(otherLink, credentials)).toBe(before);
  });
});

describe('the traps of a charon', () => {
  type CharonPlane = Exclude<DataPlane, 'xfrm-interfaces'>;
  const PLUGINS: Readonly<Record<CharonPlane, readonly string[]>> = {
    kernel: ['kernel-netlink', 'vici'],
    libipsec: ['kernel-libipsec', 'kernel-netlink', 'vici'],
  };
  const signal = new AbortController().signal;
  const [via] = localState(addressed(desired(medsrv(), mediatedPeer(), spoke())), 'libipsec', 7447).steering as [
    Steering,
  ];
  const { name: connection } = via;
  let fake: FakeCharon;
  let session: ViciSession;
  let vici: ViciCharon;
  let charon: Charon;
  let routes: MemoryRoutes;
  beforeEach(async () => {
    fake = await FakeCharon.start();
    routes = new MemoryRoutes();
    session = await ViciSession.connect(fake.address);
    vici = new ViciCharon({ session, clock: systemClock, bootMs: () => systemClock.monotonicMs(), routes });
    charon = vici.with({ credentials: charonCredentials(parts), crl: undefined });
  });
  afterEach(async () => {
    await session[Symbol.asyncDispose]();
    await fake[Symbol.asyncDispose]();
  });

  /** As charon says when it was started with this data plane. */
  async function found(dataPlane: CharonPlane): Promise<DataPlane> {
    const [uptime, workers] = [
      { since: 'Nov 24 00:28:45 2026', running: '1 minute' },
      { total: 16, idle: 11 },
    ];
    const active = { critical: 4, high: 0, medium: 1, low: 0 };
    fake.on('stats', () => ({
      uptime,
      workers: { ...workers, active },
      queues: active,
      scheduled: 0,
      ikesas: { total: 0, 'half-open': 0 },
      plugins: PLUGINS[dataPlane],
    }));
    return vici.dataPlane(signal);
  }
  const carryOut = (step: Step): Promise<string | undefined> => executeStep(charon.executors, step, signal);
  const load = (): Promise<unknown> => carryOut({ kind: 'load-conn', connection: via, digest: '' });
  const install = (trap: string): Promise<unknown> => carryOut({ kind: 'install-trap', connection, trap });
  const uninstall = (trap: string): Promise<unknown> => carryOut({ kind: 'uninstall-trap', connection, trap });
  const observed = (): Promise<ObservedState> => charon.observe(signal);

  it.each(['kernel', 'libipsec'] as const)('are for who carries its packets by its plugins: %s', async (dataPlane) =>
    expect(await found(dataPlane)).toBe(dataPlane),
  );

  it('are observed with their selectors, without those of others', async () => {
    await found('libipsec');
    fake.load({ theirs: { remote_addrs: ['192.0.2.2'], children: { direct: {} } } });
    await session.call('install', { ike: 'theirs', child: 'direct' });
    await load();
    await install('direct');
    expect([...(await observed()).traps]).toEqual([
      [
        'cygnet-via-remote/direct',
        {
          connection,
          name: 'direct',
          localTs: ['7.7.7.0/24', '100.96.0.4/32'],
          remoteTs: ['7.7.8.0/24', '100.96.0.6/32'],
        },
      ],
    ]);
    await uninstall('direct');
    expect((await observed()).traps.size).toBe(0);
  });

  it('are observed where the kernel carries its packets, too: some only drop', async () => {
    const [dropping] = localState(
      addressed(desired(medsrv(), mediatedPeer(), spoke())),
      'xfrm-interfaces',
      7447,
    ).steering;
    await found('kernel');
    await carryOut({ kind: 'load-conn', connection: dropping!, digest: '' });
    await install('refuse-clear');
    expect([...(await observed()).traps.keys()]).toEqual(['cygnet-via-remote/refuse-clear']);
    await uninstall('refuse-clear');
    expect((await observed()).traps.size).toBe(0);
  });

  it('are installed and uninstalled by connection and name', async () => {
    const asked: ViciSection[] = [];
    for (const command of ['install', 'uninstall']) {
      fake.on(command, (request) => {
        asked.push(request);
        return { success: 'yes' };
      });
    }
    await install('relay');
    await uninstall('direct');
    expect(asked.map((request) => Object.fromEntries(request))).toEqual([
      { ike: connection, child: 'relay' },
      { ike: connection, child: 'direct' },
    ]);
  });

  it('are refused in charon’s words', async () => {
    await expect(install('direct')).rejects.toEqual(new StepRefused('configuration name not found'));
    await expect(uninstall('direct')).rejects.toEqual(new StepRefused("policy 'direct' not found"));
  });
});

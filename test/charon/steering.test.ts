import { X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { charonCredentials, ViciCharon } from '../../src/agent/charon-adapter.ts';
import { systemClock } from '../../src/clock.ts';
import { localState, type TrapSteering } from '../../src/ike/steering.ts';
import { executeStep, type Charon, type Step } from '../../src/reconcile/charon.ts';
import { divertSteps, trapSteps } from '../../src/reconcile/traps.ts';
import { ViciSession } from '../../src/vici/session.ts';
import { meshCa } from '../identity/mesh.ts';
import { run } from '../lab/run.ts';
import { STRONGSWAN_VERSIONS } from '../lab/strongswan.ts';
import { MemoryRoutes } from '../reconcile/memory-routes.ts';
import { addressed, desired, mediatedPeer, medsrv, spoke } from '../reconcile/builders.ts';
import { collect } from '../vici/collect.ts';
import { viciRejectionOf } from '../vici/vici-error-of.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

/** Debian 13's strongSwan is fetched when this machine does not have it yet. */
const FETCH_MS_MAX = 900_000;

const signal = new AbortController().signal;
const { desired: mesh, steering } = localState(addressed(desired(medsrv(), mediatedPeer(), spoke())), 'libipsec', 7447);
const [via] = steering as [TrapSteering];
const LINK = mesh.links[0]!.id;
/** charon 5.9 installs a policy only where the node has an address in its own selector (kernel_libipsec_ipsec.c). */
const OWN_ADDRESSES = ['7.7.7.1/24', '100.96.0.4/32', '100.96.0.5/32'];

/** What moves traffic rests on how charon treats a connection whose peer cannot have an address. */
describe.skipIf(!canRunCharon).each(STRONGSWAN_VERSIONS)('strongSwan %s that carries packets itself', (strongswan) => {
  const namespace = `cygtraps-${process.pid}-${strongswan}`;
  let daemon: CharonDaemon;
  let session: ViciSession;
  let vici: ViciCharon;
  let charon: Charon;
  beforeAll(async () => {
    await run(['ip', 'netns', 'add', namespace]);
    await run(['ip', '-n', namespace, 'link', 'set', 'lo', 'up']);
    for (const own of OWN_ADDRESSES) await run(['ip', '-n', namespace, 'address', 'add', own, 'dev', 'lo']);
    daemon = await CharonDaemon.start({ strongswan, namespace });
    session = await ViciSession.connect({ socketPath: daemon.socketPath });
    vici = new ViciCharon({
      session,
      clock: systemClock,
      bootMs: () => systemClock.monotonicMs(),
      routes: new MemoryRoutes(),
    });
    const ca = new Uint8Array(new X509Certificate((await meshCa()).certificatePem).raw);
    const credentials = charonCredentials({ own: ca, ca, privateKey: Uint8Array.of() });
    charon = vici.with({ credentials, crl: undefined });
  }, FETCH_MS_MAX);
  afterAll(async () => {
    await session[Symbol.asyncDispose]();
    await daemon[Symbol.asyncDispose]();
    await run(['ip', 'netns', 'del', namespace]);
  });

  const stepsFor = async (...direct: readonly string[]): Promise<Step[]> => {
    const input = { steering, takesDirect: new Set(direct), observed: await charon.observe(signal) };
    return [...divertSteps(input), ...trapSteps(input, { isLoaded: () => true, isAllowed: () => true })];
  };
  const carryOut = async (steps: readonly Step[]): Promise<void> => {
    for (const step of steps) await executeStep(charon.executors, step, signal);
  };
  const installed = async (): Promise<string[]> => [...(await charon.observe(signal)).traps.keys()];

  it('takes the traps of a link, and has them as they should be', async () => {
    expect(await vici.dataPlane(signal)).toBe('libipsec');
    await carryOut([{ kind: 'load-conn', connection: via, digest: '' }, ...(await stepsFor())]);
    expect(await stepsFor()).toEqual([]);
    expect(await installed()).toHaveLength(via.lasting.length);
  });

  it('is told to take the direct tunnel, and to leave it', async () => {
    await carryOut(await stepsFor(LINK));
    expect(await stepsFor(LINK)).toEqual([]);
    // The youngest is first.
    expect((await installed())[0]).toBe(`${via.name}/direct`);
    await carryOut(await stepsFor());
    expect(await installed()).not.toContain(`${via.name}/direct`);
  });

  it('gives up at once when it is to set up a tunnel for a trap, and leaves nothing of it', async () => {
    const initiate = session.call('initiate', { ike: via.name, child: via.direct.name, timeout: 20_000 });
    // Not that it is not established after 20000ms.
    expect((await viciRejectionOf(initiate)).detail).toBe("establishing CHILD_SA 'direct' failed");
    expect(await collect(session.stream('list-sas'))).toEqual([]);
  });
});

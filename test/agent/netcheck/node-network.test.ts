import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { NodeNetwork } from '../../../src/agent/netcheck/node-network.ts';
import { reflection } from '../../../src/agent/netcheck/reflector.ts';
import { connectionNameSchema } from '../../../src/ike/connection.ts';
import type { DesiredState } from '../../../src/ike/desired-state.ts';
import { createLogger } from '../../../src/log.ts';
import { desired as desiredOf, medsrv } from '../../reconcile/builders.ts';
import { ManualClock } from '../../reconcile/memory-charon.ts';
import { eventually } from '../../vici/eventually.ts';
import { instantPause, MemoryNetwork } from './memory-network.ts';

const HUB = '203.0.113.10';
const { localId, remoteId, ike } = medsrv();
const mediator = desiredOf({
  kind: 'mediation-server',
  name: connectionNameSchema.parse('cygnet-mediation'),
  localId,
  remoteId,
  ike,
});

let memory: MemoryNetwork;
let clock: ManualClock;
let desired: DesiredState | undefined;
let network: NodeNetwork;
let events: string[];
/** Held-back waits of the loop; others pass at once. */
let looks: (() => void)[];

beforeEach(() => {
  memory = new MemoryNetwork();
  clock = new ManualClock();
  desired = undefined;
  looks = [];
  events = [];
  network = new NodeNetwork({
    clock,
    network: memory,
    randomBytes,
    reflectorPorts: [7445, 7446],
    logger: createLogger('test', 'silent'),
    desired: () => desired,
    random: () => 1,
    onEvent: ({ message }) => events.push(message),
    // The loop waits for ten seconds and more; a question for less.
    pause: (ms, signal) => (ms > 5000 ? heldBack(signal) : instantPause()(ms, signal)),
  });
});

function heldBack(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    looks.push(resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}

/** Runs it until the test ends, and waits until it has nothing to do. */
async function running(): Promise<AbortController> {
  const stop = new AbortController();
  const ended = network.run(stop.signal);
  onTestFinished(() => {
    stop.abort();
    return ended;
  });
  await eventually(() => expect(looks).not.toHaveLength(0));
  return stop;
}

async function become(state: DesiredState | undefined): Promise<void> {
  const before = looks.length;
  desired = state;
  network.desiredChanged();
  await eventually(() => expect(looks.length).toBeGreaterThan(before));
}

function serve(address = HUB): void {
  for (const port of [7445, 7446]) memory.services.set(`${address}:${port}`, reflection);
}

/** The loop looks once more, and has then nothing to do. */
async function lookAgain(): Promise<void> {
  const before = looks.length;
  for (const look of looks) look();
  await eventually(() => expect(looks.length).toBeGreaterThan(before));
}

const never = new AbortController().signal;

describe('the network of a node', () => {
  it('is checked once a desired state is there, and not again without a reason', async () => {
    serve();
    await running();
    expect(network.last).toBeUndefined();
    await become(desiredOf(medsrv()));
    expect(network.last).toMatchObject({ natKind: 'none', targets: [{ node: 'master1' }] });
    const sent = memory.sent.length;
    clock.advance(60_000);
    await become(desiredOf(medsrv()));
    expect(memory.sent).toHaveLength(sent);
  });

  it('is checked again for other mediators, but not at once', async () => {
    serve();
    desired = desiredOf(medsrv());
    await running();
    const other = desiredOf(medsrv({ remoteAddresses: ['203.0.113.11'] }));
    await become(other);
    expect(network.last).toMatchObject({ targets: [{ host: HUB }] });
    clock.advance(10_000);
    await become(other);
    expect(network.last).toMatchObject({ targets: [{ host: '203.0.113.11' }] });
  });

  it('is checked again when the check found nothing out, less and less often', async () => {
    desired = desiredOf(medsrv());
    await running();
    const checks: number[] = [];
    for (let minute = 1; minute <= 40; minute += 1) {
      const before = memory.sent.length;
      clock.advance(60_000);
      await lookAgain();
      if (memory.sent.length > before) checks.push(minute);
    }
    expect(checks).toEqual([1, 3, 7, 15, 30]);
    serve();
    clock.advance(900_000);
    await lookAgain();
    expect(network.last).toMatchObject({ natKind: 'none' });
    expect(events).toEqual(['kind of NAT: blocked', 'kind of NAT: none']);
  });

  it('is checked when asked, at most every ten seconds', async () => {
    serve();
    desired = desiredOf(medsrv());
    const first = await network.check(never);
    expect(first).toMatchObject({ natKind: 'none' });
    clock.advance(9999);
    expect(await network.check(never)).toBe(first);
    clock.advance(1);
    expect(await network.check(never)).not.toBe(first);
  });

  it('is checked once for all who ask at the same time', async () => {
    serve();
    desired = desiredOf(medsrv());
    const [first, second] = await Promise.all([network.check(never), network.check(never)]);
    expect(first).toBe(second);
  });

  it('is not checked where there is nobody to ask', async () => {
    desired = mediator;
    expect(await network.check(never)).toBeUndefined();
    await running();
    expect(memory.sent).toEqual([]);
  });

  it('goes on when a check fails', async () => {
    memory.openFailure = ({ port }) => (port === 0 ? new Error('EMFILE') : undefined);
    desired = desiredOf(medsrv());
    await running();
    await expect(network.check(never)).rejects.toThrow('EMFILE');
    await become(mediator);
    expect(memory.sockets.size).toBe(4);
  });

  it('is told to others by a mediator, as long as it is one and the agent runs', async () => {
    const stop = await running();
    expect(memory.sockets.size).toBe(0);
    await become(mediator);
    expect([...memory.sockets.keys()].sort((a, b) => a - b)).toEqual([-7446, -7445, 7445, 7446]);
    await become(desiredOf(medsrv()));
    expect(memory.sockets.size).toBe(0);
    await become(mediator);
    stop.abort();
    await eventually(() => expect(memory.sockets.size).toBe(0));
  });

  it('says which port cannot be opened', async () => {
    memory.openFailure = ({ port }) => (port === 7445 ? new Error('bind EADDRINUSE') : undefined);
    desired = mediator;
    await running();
    expect(network.problems).toEqual([expect.stringContaining('UDP port 7445')]);
  });
});

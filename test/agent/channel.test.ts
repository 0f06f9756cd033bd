import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ControlChannel } from '../../src/agent/channel.ts';
import { systemClock } from '../../src/clock.ts';
import { CLOSE_CODES, type CoordinatorFrame } from '../../src/control/frames.ts';
import { FRAME_BYTES_MAX } from '../../src/control/limits.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { createLogger } from '../../src/log.ts';
import { nodeKeys, type NodeKeys } from '../coordinator/channel-fixture.ts';
import { reportOf } from '../coordinator/report-builders.ts';
import { firstHello } from '../control/frame-builders.ts';
import { meshCa } from '../identity/mesh.ts';
import { eventually } from '../vici/eventually.ts';
import { FakeCoordinator, type FakeChannel } from './fake-coordinator.ts';
import { unchanged } from '../control/statements.ts';

let ca: MeshCa;
let keys: NodeKeys;
let coordinator: FakeCoordinator;

beforeAll(async () => {
  ca = await meshCa();
  keys = await nodeKeys(ca);
});
beforeEach(async () => {
  coordinator = await FakeCoordinator.start(ca);
  return () => coordinator[Symbol.asyncDispose]();
});

interface Running {
  readonly channel: ControlChannel;
  readonly received: CoordinatorFrame[];
  /** One for each connection that was refused because of the certificate. */
  readonly refusals: string[];
  readonly stop: () => Promise<void>;
}

/** A channel that runs until the test ends. `random` decides how long it waits before it connects again: 0 not at all. */
function run(change: { readonly random?: number; readonly opened?: (channel: ControlChannel) => void } = {}): Running {
  const received: CoordinatorFrame[] = [];
  const refusals: string[] = [];
  const channel: ControlChannel = new ControlChannel({
    identity: {
      node: 'edge1',
      mesh: ca.mesh,
      coordinatorUrl: coordinator.url,
      ca: ca.certificatePem,
      channel: { key: keys.key, certificate: keys.cert },
      ike: { key: '', certificate: '' },
    },
    clock: systemClock,
    random: () => change.random ?? 0,
    logger: createLogger('test', 'silent'),
    hello: () => firstHello,
    opened: () => change.opened?.(channel),
    refused: () => refusals.push('refused'),
    received: (frame) => received.push(frame),
  });
  const stopping = new AbortController();
  const ended = channel.run(stopping.signal);
  const stop = (): Promise<void> => {
    stopping.abort();
    return ended;
  };
  onTestFinished(stop);
  return { channel, received, refusals, stop };
}

/** The channel number `count` since the start, once its hello is there. */
async function channelNumber(count: number): Promise<FakeChannel> {
  await eventually(() => expect(coordinator.channels[count - 1]?.frames[0]).toEqual(firstHello));
  return coordinator.channels[count - 1]!;
}

describe('a control channel', () => {
  it('begins with the hello, and goes on with what belongs behind it', async () => {
    const report = reportOf();
    const { channel } = run({ opened: (opened) => opened.send({ type: 'report', report }) });
    const { frames } = await channelNumber(1);
    await eventually(() => expect(frames).toHaveLength(2));
    expect(frames[1]).toEqual({ type: 'report', report });
    expect(channel.status).toMatchObject({ url: coordinator.url, state: 'connected', problem: null });
    expect(channel.downMs).toBe(0);
  });

  it('hands frames on in their order', async () => {
    const { received } = run();
    const remote = await channelNumber(1);
    const frames = [1, 2, 3].map((generation) => unchanged(generation));
    for (const frame of frames) remote.send(frame);
    await eventually(() => expect(received).toEqual(frames));
  });

  it('sends nothing while it is not open, and says so', () => {
    const { channel } = run();
    expect(channel.send({ type: 'events', events: [] })).toBe(false);
    expect(channel.status.state).toBe('connecting');
  });

  it.each<[string, string | Uint8Array]>([
    ['garbage', Uint8Array.of(0xc1, 0xff, 0x00)],
    ['nothing', Uint8Array.of()],
    ['a frame of an unknown type', Uint8Array.of(0x81, 0xa4, 0x74, 0x79, 0x70, 0x65, 0xa1, 0x78)],
    ['text', '{"type":"unchanged"}'],
    ['nested arrays without end', new Uint8Array(100_000).fill(0x91)],
  ])('that brings %s is closed with 4001 and opened anew', async (_what, data) => {
    const { received } = run();
    const remote = await channelNumber(1);
    remote.sendRaw(data);
    await eventually(() => expect(remote.closeCode).toBe(CLOSE_CODES.badFrame));
    await channelNumber(2);
    expect(received).toEqual([]);
  });

  it('says of such a frame why it was refused', async () => {
    const { channel } = run({ random: 1 });
    (await channelNumber(1)).sendRaw(Uint8Array.of(0xc1));
    await eventually(() => expect(channel.status).toMatchObject({ state: 'waiting' }));
    expect(channel.status.problem).toMatch(/^a frame of the coordinator was refused: \[malformed\]/);
  });

  it('takes in nothing that comes behind such a frame', async () => {
    const { received } = run();
    const remote = await channelNumber(1);
    remote.sendRaw(Uint8Array.of(0xc1));
    remote.send(unchanged());
    await channelNumber(2);
    expect(received).toEqual([]);
  });

  it('does not take in a frame above the limit', async () => {
    const { received } = run();
    const remote = await channelNumber(1);
    remote.sendRaw(new Uint8Array(FRAME_BYTES_MAX + 1));
    await channelNumber(2);
    expect(received).toEqual([]);
  });

  it('does not send a frame above the limit, and lives on', async () => {
    const { channel } = run();
    const remote = await channelNumber(1);
    const links = Array.from({ length: 4096 }, (_, index) => ({
      id: `link-${index}`,
      peer: 'x'.repeat(300),
      path: 'none' as const,
      sinceMs: null,
      problem: null,
      cause: null,
      direct: null,
      relay: null,
      directFailures: 0,
    }));
    expect(channel.send({ type: 'report', report: reportOf({ links }) })).toBe(false);
    expect(channel.send({ type: 'report', report: reportOf() })).toBe(true);
    await eventually(() => expect(remote.frames).toHaveLength(2));
  });

  it('waits while the coordinator is gone, and is back with it', async () => {
    const { channel } = run({ random: 0.1 });
    await channelNumber(1);
    const { port } = coordinator;
    await coordinator[Symbol.asyncDispose]();
    await eventually(() =>
      expect(channel.status).toMatchObject({ state: 'waiting', problem: expect.any(String) as string }),
    );
    expect(channel.downMs).toBeGreaterThanOrEqual(0);
    await eventually(() => expect(channel.status.problem).toContain('ECONNREFUSED'));
    coordinator = await FakeCoordinator.start(ca, port);
    await channelNumber(1);
    await eventually(() => expect(channel.status).toMatchObject({ state: 'connected', problem: null }));
  });

  it.each([
    [401, /does not accept this certificate/, true],
    [403, /does not know this node any more/, true],
    [410, /this node is revoked/, false],
    [429, /another agent with its identity/, false],
    [500, /500/, false],
  ])('that is refused with %i says what to do, and whether it is for its certificate', async (status, problem, its) => {
    coordinator.refuseWith = status;
    const { channel, refusals } = run({ random: 0.1 });
    await eventually(() => expect(channel.status.problem).toMatch(problem));
    expect(refusals.length > 0).toBe(its);
  });

  it.each([
    [CLOSE_CODES.replaced, '', /another agent with this identity/],
    [CLOSE_CODES.certificateExpired, 'x', /has expired: it is to be renewed/],
    [CLOSE_CODES.badFrame, 'frame refused', /does not understand .* update the coordinator first/],
    [CLOSE_CODES.protocol, '', /another version of the protocol/],
    [CLOSE_CODES.revoked, 'x', /this node is revoked.*meshctl node readmit.*agentctl enroll --again/],
    [CLOSE_CODES.unknownNode, 'gone', /closed by the coordinator: gone \(4003\)/],
    [1000, '', /closed by the coordinator \(1000\)/],
  ])('that the coordinator closes with %i says why', async (code, reason, problem) => {
    const { channel } = run({ random: 0.5 });
    (await channelNumber(1)).close(code, reason);
    await eventually(() => expect(channel.status).toMatchObject({ state: 'waiting' }));
    expect(channel.status.problem).toMatch(problem);
  });

  it('says nothing to a server of another mesh', async () => {
    await coordinator[Symbol.asyncDispose]();
    coordinator = await FakeCoordinator.start(await meshCa());
    const { channel } = run({ random: 0.1 });
    await eventually(() => expect(channel.status.problem).toMatch(/certificate/));
    expect(coordinator.channels).toEqual([]);
  });

  it('is closed in order when the agent stops', async () => {
    const { stop } = run();
    const remote = await channelNumber(1);
    await stop();
    await eventually(() => expect(remote.closeCode).toBe(1001));
  });

  it('is cut off when the agent stops and the coordinator does not answer', async () => {
    const { stop } = run();
    const remote = await channelNumber(1);
    remote.deafen();
    const stopped = stop();
    // 1006: the connection ended without a close frame that this end took in.
    await eventually(() => expect(remote.closeCode).toBe(1006));
    await stopped;
  });

  it('that is being opened stops as well', async () => {
    const { stop } = run();
    await stop();
  });

  it('that waits to be opened anew stops at once', async () => {
    coordinator.refuseWith = 500;
    const { channel, stop } = run({ random: 0.999 });
    await eventually(() => expect(channel.status.state).toBe('waiting'));
    await stop();
  });
});

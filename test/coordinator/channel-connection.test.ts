import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { CLOSE_CODES } from '../../src/control/frames.ts';
import { ChannelConnection } from '../../src/coordinator/channel-connection.ts';
import { CHANNEL_LIMITS } from '../../src/coordinator/channel-limits.ts';
import { createLogger } from '../../src/log.ts';
import { EDGE1, FakeHost } from './channel-fixture.ts';

const DAY_MS = 86_400_000;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A socket whose peer answers pings, and its close codes. */
class FakeSocket extends EventEmitter {
  readonly closed: number[] = [];

  ping(): void {
    this.emit('pong');
  }

  close(code: number): void {
    this.closed.push(code);
    this.emit('close');
  }
}

function connect(validForMs: number): FakeSocket {
  const socket = new FakeSocket();
  const deps = {
    host: new FakeHost(),
    logger: createLogger('test', 'silent'),
    limits: { ...CHANNEL_LIMITS, helloTimeoutMs: 2 ** 31 - 1 },
    // The one that the timers of the test go by.
    clock: { monotonicMs: () => performance.now() },
  };
  const certificate = { key: '', validForMs };
  const peer = { node: EDGE1, remote: '192.0.2.1', certificate };
  const connection = new ChannelConnection(socket as unknown as WebSocket, peer, deps);
  expect(connection.node).toBe(EDGE1);
  return socket;
}

it('is closed when its certificate ends, with a code of its own', () => {
  const socket = connect(3 * DAY_MS);
  vi.advanceTimersByTime(3 * DAY_MS - 1);
  expect(socket.closed).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(socket.closed).toEqual([CLOSE_CODES.certificateExpired]);
});

it.each([-365 * DAY_MS, 365 * DAY_MS])('neither sooner nor later when the wall clock is set by %i ms', (stepMs) => {
  const socket = connect(3 * DAY_MS);
  vi.setSystemTime(Date.now() + stepMs);
  vi.advanceTimersByTime(3 * DAY_MS - 1);
  expect(socket.closed).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(socket.closed).toHaveLength(1);
});

it('leaves no timer behind', () => {
  connect(90 * DAY_MS).emit('close');
  expect(vi.getTimerCount()).toBe(0);
});

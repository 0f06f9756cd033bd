import { describe, expect, it } from 'vitest';
import { Gate } from '../../src/vici/gate.ts';
import { ViciError } from '../../src/vici/vici-error.ts';
import { viciRejectionOf } from './vici-error-of.ts';

describe('a gate', () => {
  it('passes a place to the first who waits, so that a newcomer cannot slip in', async () => {
    const gate = new Gate(1);
    const order: string[] = [];
    const enterAs = async (name: string): Promise<() => void> => {
      const leave = await gate.enter({});
      order.push(name);
      return leave;
    };
    const leaveFirst = await enterAs('first');
    const second = enterAs('second');
    leaveFirst();
    const third = enterAs('third');
    const leaveSecond = await second;
    expect(order).toEqual(['first', 'second']);
    leaveSecond();
    (await third)();
    expect(order).toEqual(['first', 'second', 'third']);
  });

  it('forgets who gave up waiting', async () => {
    const gate = new Gate(1);
    const leave = await gate.enter({});
    const controller = new AbortController();
    const gaveUp = viciRejectionOf(gate.enter({ signal: controller.signal }));
    const next = gate.enter({});
    controller.abort();
    expect((await gaveUp).code).toBe('aborted');
    leave();
    expect(await next).toBeTypeOf('function');
  });

  it('turns everyone away once it is closed', async () => {
    const gate = new Gate(1);
    await gate.enter({});
    const waiting = viciRejectionOf(gate.enter({}));
    gate.close(new ViciError('connection-closed', 'over'));
    expect((await waiting).detail).toBe('over');
    expect((await viciRejectionOf(gate.enter({}))).detail).toBe('over');
  });
});

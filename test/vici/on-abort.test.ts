import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from '../../src/vici/on-abort.ts';

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('waiting for a signal', () => {
  it('needs one listener for however many wait, and none when nobody does', () => {
    const { signal } = new AbortController();
    const stops = Array.from({ length: 100 }, () => onAbort(signal, () => {}));
    expect(listeners(signal)).toBe(1);
    for (const stop of stops) stop();
    expect(listeners(signal)).toBe(0);
  });

  it('tells each of them once, also one that was given twice', () => {
    const controller = new AbortController();
    let told = 0;
    const tell = (): void => void (told += 1);
    onAbort(controller.signal, tell);
    onAbort(controller.signal, tell);
    controller.abort();
    expect(told).toBe(2);
  });

  it('does not tell who has stopped, even while others are told', () => {
    const controller = new AbortController();
    const told: string[] = [];
    onAbort(controller.signal, () => {
      told.push('first');
      stopSecond();
    });
    const stopSecond = onAbort(controller.signal, () => told.push('second'));
    controller.abort();
    expect(told).toEqual(['first']);
    expect(listeners(controller.signal)).toBe(0);
  });
});

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fifo } from '../../src/vici/fifo.ts';

describe('first in, first out', () => {
  it('does what an array does, whatever the order of calls', () =>
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.nat(), fc.constantFrom('shift', 'drain'))), (calls) => {
        const fifo = new Fifo<number>();
        const array: number[] = [];
        for (const call of calls) {
          if (call === 'shift') expect(fifo.shift()).toBe(array.shift());
          else if (call === 'drain') expect(fifo.drain()).toEqual(array.splice(0));
          else if (typeof call === 'number') {
            fifo.push(call);
            array.push(call);
          }
          expect(fifo.length).toBe(array.length);
        }
        expect(fifo.drain()).toEqual(array);
      }),
    ));
});

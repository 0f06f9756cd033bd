import { limit } from '../bench/row.ts';
import type { Proof } from './proof.ts';
import { soak } from './soak.ts';

const TIMES = 10_000;
const HEAP = '10,000 reconnects and 10,000 applies: growth of the heap';
const DESCRIPTORS = '10,000 reconnects and 10,000 applies: more descriptors';
const TIMERS = '10,000 reconnects and 10,000 applies: more timers';
/** The audit log and events that wait to be written make it breathe. */
const HEAP_MB_MAX = 8;

/** What a coordinator holds after much has come and gone. */
export const soaking: Proof = {
  names: [HEAP, DESCRIPTORS, TIMERS],
  measure: async (say) => {
    const { early, late } = await soak({ reconnects: TIMES, applies: TIMES, say });
    return [
      limit(HEAP, 'MB', [late.heapMb - early.heapMb], HEAP_MB_MAX),
      limit(DESCRIPTORS, 'more', [late.descriptors - early.descriptors], 0),
      limit(TIMERS, 'more', [late.timers - early.timers], 0),
    ];
  },
};

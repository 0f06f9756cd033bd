import { limit } from '../bench/row.ts';
import type { Proof } from './proof.ts';
import { soak } from './soak.ts';

const TIMES = 10_000;
const MEMORY = '10,000 reconnects and 10,000 applies: more memory';
const OBJECTS = '10,000 reconnects and 10,000 applies: more objects';
const DESCRIPTORS = '10,000 reconnects and 10,000 applies: more descriptors';
const TIMERS = '10,000 reconnects and 10,000 applies: more timers';
/** Code that has become hot is compiled again, and caches fill up. */
const MEMORY_MB_MAX = 4;
/** One for each hundredth of the 18,000 reconnects and applies between the two looks would be more. */
const OBJECTS_MAX = 100;

/** What a coordinator holds after much has come and gone. */
export const soaking: Proof = {
  names: [MEMORY, OBJECTS, DESCRIPTORS, TIMERS],
  measure: async (say) => {
    const { early, late, confirmed } = await soak({ reconnects: TIMES, applies: TIMES, say });
    return [
      {
        ...limit(MEMORY, 'MB', [late.memoryMb - early.memoryMb], MEMORY_MB_MAX),
        seen: { 'states that nodes have confirmed': confirmed },
      },
      limit(OBJECTS, 'more', [late.objects - early.objects], OBJECTS_MAX),
      limit(DESCRIPTORS, 'more', [late.descriptors - early.descriptors], 0),
      limit(TIMERS, 'more', [late.timers - early.timers], 0),
    ];
  },
};

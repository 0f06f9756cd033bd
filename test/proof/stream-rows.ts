import { never, type Proof } from './proof.ts';
import { runStateStream } from './state-stream.ts';

const LIVES = 10_000;
const STREAM = 'desired states, a hostile channel and coordinators that come and go';

/** What a node holds is what was signed for it, in order, with consent; and in the end it is what is wanted. */
export const stateStreams: Proof = {
  names: [STREAM],
  measure: (say) => {
    const wrong: string[] = [];
    for (let seed = 0; seed < LIVES; seed += 1) {
      const problem = runStateStream(seed);
      if (problem !== undefined) wrong.push(`seed ${seed}: ${problem}`);
      if (seed % 2000 === 1999) say(`${seed + 1} lives`);
    }
    return Promise.resolve([never(STREAM, 'lives gone wrong', { cases: LIVES, wrong })]);
  },
};

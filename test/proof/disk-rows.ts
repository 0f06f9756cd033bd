import { fileURLToPath } from 'node:url';
import { crashPoints } from './crash-points.ts';
import { never, type Proof } from './proof.ts';

const WRITER = fileURLToPath(new URL('state-writer.js', import.meta.url));
const KILLED = "agent's state file, writer killed at each system call";
const HINDERED = "agent's state file, EIO and ENOSPC at each system call";

/** The agent's state files at every system call of a write. */
export const stateFileFaults: Proof = {
  names: [KILLED, HINDERED],
  measure: async () => {
    const options = { writer: WRITER, beginnings: [0, 1], writes: 2 };
    return [
      never(KILLED, 'states lost', await crashPoints({ ...options, faults: ['KILL'] })),
      never(HINDERED, 'faults not handled', await crashPoints({ ...options, faults: ['EIO', 'ENOSPC'] })),
    ];
  },
};

import { fileURLToPath } from 'node:url';
import { agentCrashPoints } from './agent-crash-points.ts';
import { COORDINATOR } from './coordinator-rows.ts';
import { crashPoints } from './crash-points.ts';
import { never, type Proof } from './proof.ts';
import type { CallPoint } from './strace.ts';

const WRITER = fileURLToPath(new URL('state-writer.js', import.meta.url));
const KILLED = "agent's state file, writer killed at each system call";
const HINDERED = "agent's state file, EIO and ENOSPC at each system call";

const AGENT = fileURLToPath(new URL('../../src/bin/cygnet-agent.js', import.meta.url));
const AGENT_KILLED = 'agent killed at each system call on its state folder, from its enrolment to a renewal';
const AGENT_HINDERED = 'agent, EIO and ENOSPC at each system call on its state folder, from its enrolment to a renewal';

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

/** The whole agent at every system call on its state folder. */
export const agentFaults: Proof = {
  names: [AGENT_KILLED, AGENT_HINDERED],
  measure: async () => {
    const programs = { agent: AGENT, coordinator: COORDINATOR, lanes: 2 };
    const killed = await agentCrashPoints({ ...programs, faults: ['KILL'], choose: (points) => points });
    const hindered = await agentCrashPoints({ ...programs, faults: ['EIO', 'ENOSPC'], choose: failing });
    return [never(AGENT_KILLED, 'lives gone wrong', killed), never(AGENT_HINDERED, 'lives gone wrong', hindered)];
  },
};

/** Node itself passes over a folder that cannot be made when it is there. */
function failing(points: readonly CallPoint[]): readonly CallPoint[] {
  return points.filter(({ call }) => call !== 'mkdir');
}

import { fileURLToPath } from 'node:url';
import { never, type Proof } from './proof.ts';
import { secretsInLab } from './lab-secrets.ts';
import { secretsThatLeaked } from './secrets.ts';

const LEAKS = 'secrets in logs, database, frames, command lines and replies';
const LAB_LEAKS =
  'secrets on the wire and in all that a lab leaves behind, from nothing to direct tunnels and a renewal';
const CORES = 'processes that may write their memory to disk, with the limits of their units';

/** Tokens and private keys where they must not be. */
export const secrets: Proof = {
  names: [LEAKS, LAB_LEAKS, CORES],
  measure: async () => {
    const agentctl = fileURLToPath(new URL('../../src/bin/agentctl.js', import.meta.url));
    const leaks = never(LEAKS, 'found', await secretsThatLeaked(agentctl));
    const lab = await secretsInLab();
    return [leaks, never(LAB_LEAKS, 'found', lab.leaks), never(CORES, 'processes', lab.dumpable)];
  },
};

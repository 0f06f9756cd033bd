import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { never, type Proof } from './proof.ts';
import { secretsThatLeakedInLab } from './lab-secrets.ts';
import { secretsThatLeaked } from './secrets.ts';

const LEAKS = 'secrets in logs, database, frames, command lines and replies';
const LAB_LEAKS = 'secrets in all that a lab leaves behind, from nothing to direct tunnels and a renewal';
const CORES = 'services that may write their memory to disk';

const pathOf = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Tokens and private keys where they must not be. */
export const secrets: Proof = {
  names: [LEAKS, LAB_LEAKS, CORES],
  measure: async () => {
    const units = ['cygnet-agent', 'cygnet-coordinator'];
    const dumping = units.filter((unit) => {
      const text = readFileSync(pathOf(`../../../systemd/${unit}.service`), 'utf8');
      return !/^LimitCORE=0$/m.test(text);
    });
    return [
      never(LEAKS, 'found', await secretsThatLeaked(pathOf('../../src/bin/agentctl.js'))),
      never(LAB_LEAKS, 'found', await secretsThatLeakedInLab()),
      never(CORES, 'services', { cases: units.length, wrong: dumping }),
    ];
  },
};

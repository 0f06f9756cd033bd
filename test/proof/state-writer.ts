import { writeSync } from 'node:fs';
import { messageOf } from '../../src/errors.ts';
import { numbered, numberedFile } from './numbered-state.ts';

/**
 * A program that writes one generation after the other to a state file, and tells of each what became of it:
 * `held N`, or `refused N: why`. To be killed or hindered in between.
 * Arguments: the folder, the first and the last generation.
 */
const [, , folder = '', first, last] = process.argv;
const file = numberedFile(folder);
for (let generation = Number(first); generation <= Number(last); generation += 1) {
  try {
    file.write(numbered(generation));
    writeSync(1, `held ${generation}\n`);
  } catch (error) {
    writeSync(1, `refused ${generation}: ${messageOf(error)}\n`);
  }
}

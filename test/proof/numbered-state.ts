import { join } from 'node:path';
import { z } from 'zod';
import { StateFile } from '../../src/agent/disk.ts';

const numberedSchema = z.strictObject({ generation: z.number(), ballast: z.string() });

/** A state file that says only which write it is of, at the length of a real state. */
export type Numbered = z.output<typeof numberedSchema>;

export function numberedFile(folder: string): StateFile<Numbered> {
  return new StateFile(join(folder, 'state.json'), numberedSchema, { keepsPrevious: true });
}

export function numbered(generation: number): Numbered {
  return { generation, ballast: String(generation).repeat(20_000) };
}

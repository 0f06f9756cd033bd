import { describe, expect, it } from 'vitest';
import { PacedLog } from '../../src/coordinator/paced-log.ts';
import { createLogger } from '../../src/log.ts';

describe('a paced log', () => {
  it('has the first of each kind at once, and the number of the others a minute later', () => {
    const lines: Record<string, unknown>[] = [];
    const logger = createLogger('test', 'warn', { write: (line) => void lines.push(JSON.parse(line) as never) });
    let nowMs = 0;
    const log = new PacedLog(logger, { monotonicMs: () => nowMs });
    for (let index = 0; index < 10_000; index += 1) log.note('edge1', { remote: '192.0.2.7' }, 'refused');
    log.note('edge2', { remote: '192.0.2.8' }, 'refused');
    expect(lines.map(({ remote, untold }) => [remote, untold])).toEqual([
      ['192.0.2.7', undefined],
      ['192.0.2.8', undefined],
    ]);
    nowMs = 60_000;
    log.note('edge1', { remote: '192.0.2.9' }, 'refused');
    expect(lines.at(-1)).toMatchObject({ msg: 'refused', remote: '192.0.2.9', untold: 9999 });
  });
});

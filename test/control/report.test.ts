import { describe, expect, it } from 'vitest';
import { nodeEventSchema, nodeReportSchema } from '../../src/control/report.ts';
import { reportOf } from '../coordinator/report-builders.ts';

/** The last instant that a Date can hold. */
const LAST_MS = 8.64e15;

describe('a time beyond what a Date can hold', () => {
  it.each([
    ['the report', 'atMs', (ms: number) => nodeReportSchema.safeParse(reportOf({ atMs: ms }))],
    [
      'the start of charon',
      'charon.sinceMs',
      (ms: number) => nodeReportSchema.safeParse(reportOf({ charon: { ...reportOf().charon, sinceMs: ms } })),
    ],
    [
      'an event',
      'atMs',
      (ms: number) => nodeEventSchema.safeParse({ atMs: ms, kind: 'path', connection: null, child: null, message: '' }),
    ],
  ])('is refused as that of %s', (_what, field, parse) => {
    expect(parse(LAST_MS).success).toBe(true);
    expect(parse(LAST_MS + 1).error?.issues.map(({ path }) => path.join('.'))).toEqual([field]);
  });
});

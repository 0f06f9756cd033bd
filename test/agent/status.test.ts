import { describe, expect, it } from 'vitest';
import { statusSchema } from '../../src/agent/api.ts';
import { agentStatus, type StatusInput } from '../../src/agent/status.ts';
import { reportOf } from '../coordinator/report-builders.ts';
import { fullStatus } from './full-status.ts';

const input = (change: Partial<StatusInput> = {}): StatusInput => ({
  report: reportOf(),
  generations: { generation: 1, applied: 1 },
  certificates: [],
  hostProblems: [],
  node: 'edge1',
  mesh: 'mesh',
  channel: { url: 'https://coordinator', state: 'connected', sinceMs: 0, problem: null },
  ...change,
});
const problemsOf = (change: Partial<StatusInput>): readonly string[] => agentStatus(input(change)).problems;
const charon = reportOf().charon;

describe('the problems of a node', () => {
  it('are none when all is well', () => expect(problemsOf({})).toEqual([]));

  it.each<[string, Partial<StatusInput>, RegExp]>([
    ['that is not enrolled', { node: null }, /run agentctl enroll/],
    ['that has no desired state', { generations: { generation: null, applied: null } }, /no desired state yet/],
    [
      'without its coordinator',
      { channel: { url: 'https://c', state: 'waiting', sinceMs: 0, problem: 'ECONNREFUSED' } },
      /^coordinator: ECONNREFUSED$/,
    ],
    [
      'without charon',
      { report: reportOf({ charon: { ...charon, connected: false, problem: 'charon does not run' } }) },
      /^charon does not run$/,
    ],
    ['whose disk is full', { hostProblems: ['nothing can be written to disk: ENOSPC'] }, /ENOSPC/],
    [
      'whose charon is out of workers',
      { report: reportOf({ charon: { ...charon, idleWorkers: 2 } }) },
      /only 2 idle worker threads/,
    ],
  ])('%s', (_what, change, problem) => expect(problemsOf(change)).toEqual([expect.stringMatching(problem)]));

  it('of the machine are told one by one', () =>
    expect(problemsOf({ hostProblems: ['the disk is full', 'mesh address not set'] })).toEqual([
      'the disk is full',
      'mesh address not set',
    ]));

  it('of the last connection are past once there is a new one', () =>
    expect(
      problemsOf({ channel: { url: 'https://c', state: 'connected', sinceMs: 0, problem: 'ECONNREFUSED' } }),
    ).toEqual([]));

  it('of connections and links go by name and by peer', () =>
    expect(fullStatus().problems).toEqual([expect.stringMatching(/^remote: traffic goes through the hub/)]));
});

it('a full status is what the schema says', () => expect(statusSchema.parse(fullStatus())).toEqual(fullStatus()));

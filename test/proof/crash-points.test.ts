import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CompiledProofs } from './compiled.ts';
import { agentCrashPoints } from './agent-crash-points.ts';
import { callsOfWrite, crashPoints } from './crash-points.ts';

/** scripts/prepare installs it, so that scripts/test skips nothing; a developer's machine may be without. */
const hasStrace = spawnSync('strace', ['-V']).status === 0;

describe.skipIf(!hasStrace)('a state file', () => {
  let compiled: CompiledProofs;
  let writer: string;

  beforeAll(async () => {
    compiled = await CompiledProofs.make();
    writer = compiled.program('state-writer');
    // A busy machine takes its time to compile.
  }, 60_000);
  afterAll(() => compiled[Symbol.asyncDispose]());

  it('is on disk before it has its name, and its name is before the write returns', async () => {
    const file = ['openat', 'write', 'fsync', 'close'];
    const names = ['link', 'rename', 'rename'];
    const folder = ['openat', 'fsync', 'close'];
    expect(await callsOfWrite(writer)).toEqual(['mkdir', ...file, ...names, ...folder]);
  });

  it('is the old or the new one wherever its writer is killed', { timeout: 120_000 }, async () => {
    const options = { writer, faults: ['KILL'], beginnings: [1], writes: 1 } as const;
    expect(await crashPoints(options)).toEqual({ cases: 11, wrong: [] });
  });

  it('leaves an agent that can go on, wherever it is killed', { timeout: 120_000 }, async () => {
    const programs = { agent: compiled.bin('cygnet-agent'), coordinator: compiled.bin('cygnet-coordinator') };
    const { cases, wrong } = await agentCrashPoints({
      ...programs,
      faults: ['KILL'],
      // During the enrolment and while it takes a state.
      choose: (points) => [0.15, 0.6].flatMap((share) => points.slice(points.length * share).slice(0, 1)),
      lanes: 1,
    });
    expect(wrong).toEqual([]);
    expect(cases).toBeGreaterThan(0);
  });
});

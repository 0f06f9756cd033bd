import { expect, it } from 'vitest';
import { CompiledProofs } from './compiled.ts';
import { killLoop } from './kill-loop.ts';

it(
  'a coordinator that is killed during writes has lost nothing that it acknowledged',
  { timeout: 120_000 },
  async () => {
    await using compiled = await CompiledProofs.make();
    const findings = await killLoop({ program: compiled.bin('cygnet-coordinator'), kills: 2, random: () => 0.9 });
    expect(findings).toMatchObject({ cases: 2, wrong: [] });
  },
);

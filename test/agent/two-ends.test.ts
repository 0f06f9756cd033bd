import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TwoEnds, type World } from './two-ends.ts';

const RUNS = { numRuns: 8, seed: 1 };
/** The longest rest of a path that has failed, and a turn. */
const SETTLE_MS = 330_000;
const LOOK_MS = 10_000;
/** What was begun twice is one by then. */
const TIDY_MS = 10_000;

const harms = ['lose', 'lose', 'lose mediator', 'fail', 'work'] as const;
const allHarms = [...harms, 'coordinator gone', 'coordinator back'] as const;

const happening = fc.record({
  afterMs: fc.integer({ min: 0, max: 20_000 }),
  what: fc.constantFrom(...allHarms),
  end: fc.constantFrom('edge1' as const, 'remote' as const),
  laterMs: fc.integer({ min: 0, max: 1500 }),
});
type Happening = typeof happening extends fc.Arbitrary<infer H> ? H : never;

const historyOf = (whats: readonly Happening['what'][]): fc.Arbitrary<Happening[]> =>
  fc.array(
    happening.filter(({ what }) => whats.includes(what)),
    { minLength: 3, maxLength: 8 },
  );
const history = historyOf(harms);

async function live(ends: TwoEnds, happenings: readonly Happening[]): Promise<void> {
  for (const { afterMs, what, end, laterMs } of happenings) {
    await ends.pass(afterMs);
    happen(ends, { what, end, laterMs });
  }
  ends.failing = false;
}

function happen(ends: TwoEnds, { what, end, laterMs }: Omit<Happening, 'afterMs'>): void {
  switch (what) {
    case 'lose':
      return ends.lose(end, laterMs);
    case 'lose mediator':
      return ends.loseMediator();
    case 'fail':
    case 'work':
      ends.failing = what === 'fail';
      return undefined;
    case 'coordinator gone':
      return ends.coordinatorGone();
    case 'coordinator back':
      return ends.coordinatorBack();
  }
}

/** One and the same at both ends, in time, and for good. */
async function expectOneTunnel(ends: TwoEnds): Promise<void> {
  for (let ms = 0; ms < SETTLE_MS && ends.tunnels.some((sas) => sas.length === 0); ms += LOOK_MS)
    await ends.pass(LOOK_MS);
  await ends.pass(TIDY_MS);
  const [here, there] = ends.tunnels.map((sas) => sas.map(({ initiatorSpi }) => initiatorSpi));
  expect(here).toHaveLength(1);
  expect(there).toEqual(here);
}

/** A life of both, to its end. */
async function lifeOf(world: World, isCoordinatorThere: boolean, happenings: readonly Happening[]): Promise<TwoEnds> {
  const ends = new TwoEnds(world, isCoordinatorThere);
  await live(ends, happenings);
  await expectOneTunnel(ends);
  return ends;
}

/** Any world within these bounds; ms. */
function worlds(bounds: { readonly delayMs: number; readonly skewMs: number }): fc.Arbitrary<World> {
  const delayMs = fc.integer({ min: 1, max: bounds.delayMs });
  return fc.record({
    networkMs: fc.integer({ min: 1, max: 150 }),
    reportMs: delayMs,
    hintMs: delayMs,
    skewMs: fc.nat({ max: bounds.skewMs }),
    apartMs: fc.nat({ max: 40_000 }),
  });
}

describe('the two ends of a link', () => {
  it('never begin at the same time while the coordinator gives hints, and have one tunnel in the end', () =>
    fc.assert(
      fc.asyncProperty(worlds({ delayMs: 400, skewMs: 60_000 }), history, async (world, happenings) => {
        expect((await lifeOf(world, true, happenings)).doublings).toEqual([]);
      }),
      RUNS,
    ));

  it('have one tunnel in the end when hints come late, and the coordinator comes and goes', () =>
    fc.assert(
      fc.asyncProperty(worlds({ delayMs: 8000, skewMs: 60_000 }), historyOf(allHarms), async (world, happenings) => {
        await lifeOf(world, true, happenings);
      }),
      RUNS,
    ));

  it('never begin at the same time without a coordinator either, when their clocks agree', () =>
    fc.assert(
      fc.asyncProperty(worlds({ delayMs: 1, skewMs: 500 }), history, async (world, happenings) => {
        expect((await lifeOf(world, false, happenings)).doublings).toEqual([]);
      }),
      RUNS,
    ));

  it('have one tunnel in the end when neither the coordinator nor the clock tells whose turn it is', () =>
    fc.assert(
      fc.asyncProperty(worlds({ delayMs: 1, skewMs: 60_000 }), history, async (world, happenings) => {
        await lifeOf(world, false, happenings);
      }),
      RUNS,
    ));

  it('have one tunnel in the end when both boot at once, and each takes it for its own turn', async () => {
    const world = { networkMs: 50, reportMs: 1, hintMs: 1, skewMs: 15_000, apartMs: 0 };
    expect((await lifeOf(world, false, [])).doublings).toHaveLength(1);
  });
});

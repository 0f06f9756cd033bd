/** One line of the result. */
export interface Row {
  readonly name: string;
  /** Of both figures: `ms`, `MB`, or what is counted. */
  readonly unit: string;
  /** Measurements behind each figure: the middle one of a comparison, the worst one where there is a limit. */
  readonly runs: number;
  readonly ours: number;
  /** Null where the goal is a limit of its own. */
  readonly other: number | null;
  /** ours / other. */
  readonly ratio: number | null;
  /** What the ratio, or where there is none `ours`, has to reach. */
  readonly goal: string;
  readonly ok: boolean;
}

/** Rows that are measured together. */
export interface Measurement {
  /** Names of its rows. */
  readonly names: readonly string[];
  /** In the order of the names. */
  readonly measure: (say: Say) => Promise<readonly Row[]>;
}

/** Tells of progress. */
export type Say = (text: string) => void;

/** Medians in ms. */
export interface Medians {
  readonly runs: number;
  readonly ours: number;
  readonly other: number;
}

/** What a ratio has to reach. */
export type RatioGoal = { readonly atMost: number } | { readonly below: number };

/** A row that compares. */
export function comparison(name: string, { runs, ours, other }: Medians, goal: RatioGoal): Row {
  const ratio = ours / other;
  const [sign, bound, ok] =
    'atMost' in goal ? ['<=', goal.atMost, ratio <= goal.atMost] : ['<', goal.below, ratio < goal.below];
  const figures = { ours: rounded(ours), other: rounded(other), ratio: rounded(ratio) };
  return { name, unit: 'ms', runs, ...figures, goal: `${sign} ${bound}`, ok };
}

/** A row with a limit of its own, for the worst of some measurements. */
export function limit(name: string, unit: string, measured: readonly number[], max: number): Row {
  const ours = Math.max(...measured);
  const goal = `<= ${max} ${unit}`;
  return { name, unit, runs: measured.length, ours: rounded(ours), other: null, ratio: null, goal, ok: ours <= max };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

/** Two ways to do the same; each resolves to the ms that it took. */
export interface Contenders {
  readonly ours: () => Promise<number>;
  readonly other: () => Promise<number>;
}

/** Runs them in turn, `runs` times each, so that what slows the machine slows them alike. */
export async function interleaved(runs: number, contenders: Contenders): Promise<Medians> {
  const ours: number[] = [];
  const other: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    ours.push(await contenders.ours());
    other.push(await contenders.other());
  }
  return { runs, ours: median(ours), other: median(other) };
}

/** The middle one; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Milliseconds that it takes. */
export async function timed(work: () => unknown): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

import { Session, type Profiler } from 'node:inspector';

/** A block of code as V8 counts it; those of a function are nested in the function's own. */
interface Block {
  readonly start: number;
  readonly end: number;
  isReached: boolean;
}

/**
 * Which blocks of some scripts have run, and about how often at once. Make it before the scripts are loaded. V8 reports
 * a block only when its count differs from that of the code around it, so the total grows while one looks.
 */
export class Coverage {
  readonly #session = new Session();
  readonly #isCovered: (url: string) => boolean;
  readonly #functions = new Map<string, Map<string, Block>>();
  readonly #counts = new Set<string>();

  constructor(isCovered: (url: string) => boolean) {
    this.#isCovered = isCovered;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Whether a block ran for the first time since the last look. */
  sawNewBlock(): boolean {
    const reports = this.#take();
    return reports.filter((report) => this.#addBlocks(report)).length > 0;
  }

  /** The same, or one ran a number of times (1, 2, up to 4, up to 8, ...) that it had not run between two looks. */
  sawNewCount(): boolean {
    const reports = this.#take();
    const news = reports.filter((report) => [this.#addBlocks(report), this.#addCounts(report)].includes(true));
    return news.length > 0;
  }

  /** Blocks known, and how many of them have run. */
  get blocks(): { readonly reached: number; readonly total: number } {
    const blocks = [...this.#functions.values()].flatMap((known) => [...known.values()]);
    return { reached: blocks.filter(({ isReached }) => isReached).length, total: blocks.length };
  }

  /** Where code begins that has never run, as `script:offset`. */
  get unreached(): readonly string[] {
    return [...this.#functions].flatMap(([name, known]) =>
      [...known.values()].filter(({ isReached }) => !isReached).map(({ start }) => `${name.split('#')[0]}:${start}`),
    );
  }

  #take(): readonly FunctionReport[] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    // Within one process the answer is there before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, taken) => {
      if (error !== null) throw error;
      scripts = taken.result;
    });
    return scripts
      .filter(({ url }) => this.#isCovered(url))
      .flatMap(({ url, functions }) =>
        functions.map(({ ranges }) => ({ name: `${url.split('/').at(-1)}#${ranges[0]?.startOffset}`, ranges })),
      );
  }

  #addBlocks({ name, ranges }: FunctionReport): boolean {
    const known = this.#functions.get(name) ?? new Map<string, Block>();
    this.#functions.set(name, known);
    for (const { startOffset: start, endOffset: end } of ranges) {
      const key = `${start}-${end}`;
      if (!known.has(key)) known.set(key, { start, end, isReached: false });
    }
    const reached = [...known.values()].filter((block) => !block.isReached && countAt(ranges, block.start) > 0);
    for (const block of reached) block.isReached = true;
    return reached.length > 0;
  }

  #addCounts({ name, ranges }: FunctionReport): boolean {
    const before = this.#counts.size;
    for (const { startOffset, count } of ranges) {
      if (count > 0) this.#counts.add(`${name}@${startOffset}*${Math.clz32(count - 1)}`);
    }
    return this.#counts.size > before;
  }
}

interface FunctionReport {
  readonly name: string;
  readonly ranges: readonly Profiler.CoverageRange[];
}

/** The innermost range decides, and those come behind the ones around them. */
function countAt(ranges: readonly Profiler.CoverageRange[], offset: number): number {
  return ranges.findLast(({ startOffset, endOffset }) => startOffset <= offset && offset < endOffset)?.count ?? 0;
}

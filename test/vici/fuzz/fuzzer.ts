import type { Coverage } from './coverage.ts';
import { mutated } from './mutate.ts';
import type { Random } from './random.ts';

/** Inputs between two looks at the coverage, which cost as much as twenty inputs. */
const BATCH = 100;

/** Changes inputs that it has and keeps those that reach something new: blocks of code, or how often they run. */
export class Fuzzer {
  readonly #corpus: [Uint8Array, ...Uint8Array[]];
  readonly #coverage: Coverage;
  readonly #random: Random;
  readonly #check: (input: Uint8Array) => void;
  #runs = 0;

  /** `check` must not throw; it is told every input, some of them twice. */
  constructor(
    seeds: readonly [Uint8Array, ...Uint8Array[]],
    coverage: Coverage,
    random: Random,
    check: (input: Uint8Array) => void,
  ) {
    this.#corpus = [...seeds];
    this.#coverage = coverage;
    this.#random = random;
    this.#check = check;
    for (const seed of seeds) this.#run(seed);
    coverage.sawNewBlock();
  }

  get runs(): number {
    return this.#runs;
  }

  get corpusSize(): number {
    return this.#corpus.length;
  }

  /** One input looked at alone, and a batch looked at together, then one by one where that shows something new. */
  round(): void {
    this.#runAlone(this.#next());
    const batch = Array.from({ length: BATCH }, () => this.#next());
    for (const input of batch) this.#run(input);
    if (!this.#coverage.sawNewBlock()) return;
    // The news are known by now, so what is kept is what counts anew: the input with the news does in most cases.
    for (const input of batch) this.#runAlone(input);
  }

  #runAlone(input: Uint8Array): void {
    this.#run(input);
    if (this.#coverage.sawNewCount()) this.#corpus.push(input);
  }

  #run(input: Uint8Array): void {
    this.#runs += 1;
    this.#check(input);
  }

  #next(): Uint8Array {
    return mutated(this.#random.pick(this.#corpus), this.#random.pick(this.#corpus), this.#random);
  }
}

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Coverage } from './coverage.ts';
import { Fuzzer } from './fuzzer.ts';
import { Random } from './random.ts';

const HELP = `usage: npm run -s fuzz:vici -- [--minutes N] [--seed N] [--json]

Feeds the decoders and readers of cygnet/vici with bytes, changes those that reach code which no others reached (V8's
block coverage), and checks each time: there comes a value or a ViciError and nothing else; a plain reference decoder
reads the same; encoded again it is the same; a stream yields the same segments wherever it is cut.
An input that fails is saved in test/vici/fuzz/saved, which the unit tests replay. Progress goes to standard error.
Exit code 0 when nothing failed, 1 when something did, 2 for bad options.

  --minutes N   how long; fractions are fine, 10 by default
  --seed N      the whole number that the random ones begin with; the clock's by default, and shown
  --json        the last line is one JSON object
  --help        this text
`;

/** From dist-fuzz/test/vici/fuzz, where this runs. */
const SAVED = new URL('../../../../test/vici/fuzz/saved/', import.meta.url);
const PROGRESS_EVERY_MS = 10_000;
/** One mistake fails with thousands of inputs; these are enough to find it. */
const FAILURES_MAX = 20;

const options = readOptions();
const random = new Random(options.seed);
// Made before the code is loaded whose blocks it counts.
const coverage = new Coverage((url) => url.includes('/dist-fuzz/src/vici/'));
const { checkInput } = await import('./check-input.ts');
const { seedMessages, seedPackets, seedSas, seedStreams } = await import('./seeds.ts');

const failures = new Set<string>();
const startMs = performance.now();
const endMs = startMs + options.minutes * 60_000;
const seeds = [...seedMessages, ...seedSas, ...seedPackets, ...seedStreams, ...savedInputs()];
const fuzzer = new Fuzzer([seedMessages[0], ...seeds], coverage, random, check);

process.stderr.write(`fuzz: seed ${options.seed}, ${fuzzer.corpusSize} inputs to begin with\n`);
let progressAtMs = startMs + PROGRESS_EVERY_MS;
while (performance.now() < endMs && failures.size < FAILURES_MAX) {
  fuzzer.round();
  if (performance.now() < progressAtMs) continue;
  progressAtMs += PROGRESS_EVERY_MS;
  process.stderr.write(`fuzz: ${shown(figures())}\n`);
}
process.stderr.write(`fuzz: never ran: ${coverage.unreached.join(' ')}\n`);
const result = { ok: failures.size === 0, seed: options.seed, ...figures() };
process.stdout.write(`${options.json ? JSON.stringify(result) : shown(result)}\n`);
process.exitCode = result.ok ? 0 : 1;

function check(input: Uint8Array): void {
  try {
    checkInput(input, random);
  } catch (error) {
    save(input, error);
  }
}

function save(input: Uint8Array, error: unknown): void {
  const hex = Buffer.from(input).toString('hex');
  const name = `found-${createHash('sha256').update(hex).digest('hex').slice(0, 12)}.hex`;
  if (failures.has(name) || failures.size >= FAILURES_MAX) return;
  failures.add(name);
  writeFileSync(new URL(name, SAVED), `${hex}\n`);
  process.stderr.write(`fuzz: ${name}: ${error instanceof Error ? error.stack : String(error)}\n`);
}

function savedInputs(): readonly Uint8Array[] {
  return readdirSync(SAVED).map((file) => Buffer.from(readFileSync(new URL(file, SAVED), 'utf8').trim(), 'hex'));
}

function figures() {
  const seconds = (performance.now() - startMs) / 1000;
  const { reached, total } = coverage.blocks;
  return {
    seconds: Math.round(seconds),
    runs: fuzzer.runs,
    runsPerSecond: Math.round(fuzzer.runs / seconds),
    corpus: fuzzer.corpusSize,
    blocksReached: reached,
    blocks: total,
    failures: failures.size,
  };
}

function shown(values: Readonly<Record<string, number | boolean>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
}

function readOptions(): { readonly minutes: number; readonly seed: number; readonly json: boolean } {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: 'string', default: '10' },
        seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      process.stdout.write(HELP);
      process.exit(0);
    }
    const [minutes, seed] = [Number(values.minutes), Number(values.seed)];
    if (!(minutes > 0 && minutes < 100_000)) throw new Error(`--minutes ${values.minutes} is no time`);
    if (!Number.isInteger(seed)) throw new Error(`--seed ${values.seed} is no whole number`);
    return { minutes, seed, json: values.json };
  } catch (error) {
    process.stderr.write(`fuzz: ${error instanceof Error ? error.message : String(error)}; see --help\n`);
    return process.exit(2);
  }
}

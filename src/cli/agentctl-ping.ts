import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { pingResultSchema, type PingResult } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { printable, type Style } from './style.ts';
import { jsonBody } from './local-api.ts';

interface PingOptions {
  readonly count: number;
  readonly json?: true;
}

const COUNT_DEFAULT = 4;
const COUNT_MAX = 10_000;
const INTERVAL_MS = 1000;
const PATHS = ['direct', 'relay'] as const;

type PathName = (typeof PATHS)[number];

export function pingCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('ping')
    .description('send packets to a linked node through both of its paths, direct and relay, and compare them')
    .argument('<node>', 'the node at the other end of a link')
    .option('-c, --count <n>', 'how many packets through each path, one a second', countOf, COUNT_DEFAULT)
    .option('--json', 'one JSON object per packet')
    .action(async (peer: string, { count, json }: PingOptions) => {
      const results: PingResult[] = [];
      for (let sequence = 1; sequence <= count; sequence += 1) {
        const pause = sequence === count ? undefined : sleep(INTERVAL_MS);
        const body = jsonBody({ peer });
        const result = await api().send('POST', '/v1/ping', pingResultSchema, body);
        results.push(result);
        terminal.out(json ? `${JSON.stringify({ sequence, ...result })}\n` : line(sequence, result, terminal.style));
        await pause;
      }
      if (!json) for (const path of PATHS) terminal.out(`${summary(path, results)}\n`);
      if (!results.some((result) => PATHS.some((path) => cameBack(result[path])))) {
        throw new CliError(
          'no-answer',
          `nothing came back from ${printable(peer)}: agentctl paths ${printable(peer)} says why`,
        );
      }
    });
}

function countOf(text: string): number {
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (count >= 1 && count <= COUNT_MAX) return count;
  throw new CliError('bad-input', `--count ${text}: must be a whole number from 1 to ${COUNT_MAX}`);
}

function cameBack({ outcome }: PingResult[PathName]): boolean {
  return outcome === 'answered' || outcome === 'refused';
}

function line(sequence: number, result: PingResult, style: Style): string {
  const parts = PATHS.map((path) => `${path} ${answerText(result[path], style)}`);
  return `${printable(result.peer)} ${sequence}: ${parts.join(', ')}\n`;
}

function answerText(answer: PingResult[PathName], style: Style): string {
  switch (answer.outcome) {
    case 'answered':
      return style.good(`${answer.rttMs.toFixed(1)} ms`);
    case 'refused':
      return style.warn('works (the agent there does not run)');
    case 'lost':
      return style.bad('no answer');
    case 'not-up':
      return style.dim('not up');
  }
}

function summary(path: PathName, results: readonly PingResult[]): string {
  const answers = results.map((result) => result[path]);
  const sent = answers.filter(({ outcome }) => outcome !== 'not-up').length;
  if (sent === 0) return `${path}: not up`;
  const came = answers.filter(cameBack).length;
  const rtts = answers.flatMap((answer) => (answer.outcome === 'answered' ? [answer.rttMs] : []));
  const loss = `${sent} sent, ${came} came back, ${Math.round(((sent - came) / sent) * 100)} % lost`;
  if (rtts.length === 0) return `${path}: ${loss}`;
  const mean = rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length;
  const figures = [Math.min(...rtts), mean, Math.max(...rtts)].map((ms) => ms.toFixed(1)).join('/');
  return `${path}: ${loss}; round trip min/mean/max ${figures} ms`;
}

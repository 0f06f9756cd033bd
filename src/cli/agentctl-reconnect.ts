import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { reconnectResultSchema, statusSchema, type LinkReport, type ReconnectResult } from '../agent/api.ts';
import type { AgentctlContext } from './agentctl-context.ts';
import { CliError } from './cli-error.ts';
import { jsonBody, type LocalApi } from './local-api.ts';
import { withProgress } from './progress.ts';
import { printable } from './style.ts';

interface ReconnectOptions {
  /** Seconds. */
  readonly wait: number;
  readonly json?: true;
}

const WAIT_SECONDS_DEFAULT = 60;
const WAIT_SECONDS_MAX = 3600;
const LOOK_EVERY_MS = 500;

const HELP = `
To see whether there is a better path, after a change of a NAT for instance. No packet is lost: traffic takes the relay
before the direct tunnel ends. The next one is set up as after a loss, within seconds where hole punching works. Refused
while the link is not direct, and while its relay does not work.

Exit code 0 when the link is direct again in time, 1 when it is not; with --wait 0 as soon as the tunnel is given up.`;

export function reconnectCommand({ terminal, api }: AgentctlContext): Command {
  return new Command('reconnect')
    .description('give up the direct tunnel to a linked node, without losing a packet, and have a new one set up')
    .argument('<node>', 'the node at the other end of a link')
    .option('--wait <seconds>', 'how long to wait for the new one; 0: not at all', secondsOf, WAIT_SECONDS_DEFAULT)
    .option('--json', 'as JSON')
    .addHelpText('after', HELP)
    .action(async (peer: string, { wait, json }: ReconnectOptions) => {
      const body = jsonBody({ peer });
      const given = await api().send('POST', '/v1/reconnect', reconnectResultSchema, body);
      if (wait === 0) {
        terminal.out(json ? jsonOf(given, undefined) : `${printable(peer)}: the direct tunnel is given up\n`);
        return;
      }
      const looking = newDirectPath(api(), given, wait * 1000);
      const what = `the direct tunnel is given up; waiting up to ${wait} s for a new one`;
      const link = await (json ? looking : withProgress(terminal, what, looking));
      const afterMs = directAfterMs(link, given);
      if (json) terminal.out(jsonOf(given, link));
      if (afterMs === null) throw notDirect(peer, wait, link);
      if (!json) terminal.out(`${printable(peer)}: direct again after ${(afterMs / 1000).toFixed(1)} s\n`);
    });
}

function secondsOf(text: string): number {
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : Infinity;
  if (seconds <= WAIT_SECONDS_MAX) return seconds;
  throw new CliError('bad-input', `--wait ${text}: must be a whole number of seconds from 0 to ${WAIT_SECONDS_MAX}`);
}

/** The link as soon as it has a new direct path, or as it is after `waitMs`; undefined when it is gone. */
async function newDirectPath(api: LocalApi, given: ReconnectResult, waitMs: number): Promise<LinkReport | undefined> {
  const untilMs = performance.now() + waitMs;
  for (;;) {
    const { links } = await api.get('/v1/status', statusSchema);
    const link = links.find(({ peer }) => peer === given.peer);
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0 || directAfterMs(link, given) !== null) return link;
    await sleep(Math.min(LOOK_EVERY_MS, leftMs));
  }
}

/** How long the link was without a direct path; null while it has none but the one that was given up. */
function directAfterMs(link: LinkReport | undefined, { givenUpAtMs, directSinceMs }: ReconnectResult): number | null {
  if (link?.path !== 'direct' || link.sinceMs === null || link.sinceMs === directSinceMs) return null;
  return Math.max(0, link.sinceMs - givenUpAtMs);
}

function jsonOf(given: ReconnectResult, link: LinkReport | undefined): string {
  const { peer, givenUpAtMs } = given;
  const { path = null, cause = null } = link ?? {};
  return `${JSON.stringify({ peer, givenUpAtMs, directAfterMs: directAfterMs(link, given), path, cause })}\n`;
}

function notDirect(peer: string, waitSeconds: number, link: LinkReport | undefined): CliError {
  const why =
    link === undefined ? 'this node has no link to it any more' : (link.problem ?? 'its old tunnel is still up');
  return new CliError('not-in-time', printable(`${peer} is not direct again after ${waitSeconds} s: ${why}`));
}

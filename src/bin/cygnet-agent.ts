#!/usr/bin/env node
import { Command } from 'commander';
import { Agent } from '../agent/agent.ts';
import { AGENT_CONFIG_DEFAULT, readAgentConfig } from '../agent/config.ts';
import { systemClock } from '../clock.ts';
import { ConfigError } from '../config-file.ts';
import { messageOf } from '../errors.ts';
import { createLogger } from '../log.ts';
import { notifierFromEnvironment } from '../systemd-notify.ts';
import { packageVersion } from '../version.ts';

const program = new Command('cygnet-agent')
  .description("Drives this node's charon: loads its connections, keeps its tunnels, reports to the coordinator.")
  .option('--config <file>', 'configuration', AGENT_CONFIG_DEFAULT)
  .version(packageVersion())
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();

try {
  process.exitCode = await main(program.opts<{ config: string }>().config);
} catch (error) {
  process.stderr.write(`cygnet-agent: ${messageOf(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

async function main(configPath: string): Promise<number> {
  const config = readAgentConfig(configPath);
  const logger = createLogger('cygnet-agent', config.logLevel);
  const notifier = notifierFromEnvironment(process.env);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const agent = new Agent(config, {
    clock: systemClock,
    // CLOCK_MONOTONIC, which charon counts its uptime by: unlike os.uptime() it stands still while the machine sleeps.
    bootMs: () => Number(process.hrtime.bigint() / 1_000_000n),
    random: Math.random,
    logger,
    agentVersion: packageVersion(),
    onReady: () => {
      logger.info({ path: config.socket }, 'ready');
      notifier.ready();
    },
  });
  const watchdog =
    notifier.watchdogIntervalMs === undefined
      ? undefined
      : setInterval(() => notifier.alive(), notifier.watchdogIntervalMs);
  try {
    await agent.run(stop.signal);
  } finally {
    clearInterval(watchdog);
    notifier.stopping();
  }
  return 0;
}

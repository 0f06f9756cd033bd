#!/usr/bin/env node
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { ConfigError } from '../config-file.ts';
import { COORDINATOR_CONFIG_DEFAULT, readCoordinatorConfig } from '../coordinator/config.ts';
import { runCoordinator, type RunDeps } from '../coordinator/run.ts';
import { messageOf } from '../errors.ts';
import { createLogger } from '../log.ts';
import { notifierFromEnvironment } from '../systemd-notify.ts';
import { packageVersion } from '../version.ts';

const program = new Command('cygnet-coordinator')
  .description('Holds what the mesh should look like, and pushes each node its part of it.')
  .option('--config <file>', 'configuration', COORDINATOR_CONFIG_DEFAULT)
  .version(packageVersion())
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();

try {
  await main(program.opts<{ config: string }>().config);
} catch (error) {
  process.stderr.write(`cygnet-coordinator: ${messageOf(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : 1;
}

async function main(configPath: string): Promise<void> {
  const config = readCoordinatorConfig(configPath);
  const logger = createLogger('cygnet-coordinator', config.logLevel);
  const notifier = notifierFromEnvironment(process.env);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  stop.signal.addEventListener('abort', () => notifier.stopping());
  const watchdog =
    notifier.watchdogIntervalMs === undefined
      ? undefined
      : setInterval(() => notifier.alive(), notifier.watchdogIntervalMs);
  const deps: RunDeps = {
    clock: systemClock,
    logger,
    version: packageVersion(),
    onReady: ({ port, apiSocket }) => {
      logger.info({ port, path: apiSocket }, 'ready');
      notifier.ready();
    },
  };
  try {
    await runCoordinator(config, deps, stop.signal);
  } finally {
    clearInterval(watchdog);
  }
}

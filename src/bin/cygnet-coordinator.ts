#!/usr/bin/env node
import { Command } from 'commander';
import { systemClock } from '../clock.ts';
import { ConfigError } from '../config-file.ts';
import { COORDINATOR_CONFIG_DEFAULT, readCoordinatorConfig } from '../coordinator/config.ts';
import { renewStoredCa } from '../coordinator/mesh-authority.ts';
import { RestoreRefused, restoreBackup } from '../coordinator/restore.ts';
import { runCoordinator, type RunDeps } from '../coordinator/run.ts';
import { messageOf } from '../errors.ts';
import { createLogger } from '../log.ts';
import { notifierFromEnvironment } from '../systemd-notify.ts';
import { packageVersion } from '../version.ts';

interface RestoreFlags {
  readonly stateDir?: string;
  readonly replace?: true;
}

const program = new Command('cygnet-coordinator')
  .description('Holds what the mesh should look like, and pushes each node its part of it.')
  .option('--config <file>', 'configuration', COORDINATOR_CONFIG_DEFAULT)
  .version(packageVersion())
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(() => main(configPath()));
program
  .command('restore <file>')
  .description('Makes a backup the store of the coordinator, which must not be running; see docs/backup.md.')
  .option('--state-dir <dir>', "the coordinator's state directory; default: the one of the configuration")
  .option('--replace', 'put it in the place of a store that is there, which stays beside it')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action((file: string, flags: RestoreFlags) => restore(file, flags));
program
  .command('renew-ca')
  .description("Gives the mesh's own CA ten more years, with the same key; restart the coordinator then.")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .action(() => renewCa());

try {
  await program.parseAsync();
} catch (error) {
  process.stderr.write(`cygnet-coordinator: ${messageOf(error)}\n`);
  process.exitCode = isBadInput(error) ? 2 : 1;
}

function isBadInput(error: unknown): boolean {
  return error instanceof ConfigError || error instanceof RestoreRefused;
}

async function renewCa(): Promise<void> {
  const { stateDir, mesh, subject, ca } = readCoordinatorConfig(configPath());
  const nowMs = systemClock.nowMs();
  const endMs = await renewStoredCa({ stateDir, mesh, subject, nowMs, ...(ca !== undefined && { ca }) });
  process.stdout.write(
    `the CA of mesh ${mesh} is valid until ${new Date(endMs).toISOString()}; restart the coordinator, and nodes get it with their next renewals
`,
  );
}

function configPath(): string {
  return program.opts<{ config: string }>().config;
}

function restore(backup: string, { stateDir, replace }: RestoreFlags): void {
  const folder = stateDir ?? readCoordinatorConfig(configPath()).stateDir;
  const { mesh, madeAtMs } = restoreBackup({ backup, stateDir: folder, replace: replace === true });
  process.stdout.write(`${folder} holds mesh ${mesh} as it was at ${new Date(madeAtMs).toISOString()}\n`);
}

async function main(path: string): Promise<void> {
  const config = readCoordinatorConfig(path);
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
    onReady: ({ port, apiSocket, apiPort }) => {
      logger.info({ port, path: apiSocket, apiPort }, 'ready');
      notifier.ready();
    },
  };
  try {
    await runCoordinator(config, deps, stop.signal);
  } finally {
    clearInterval(watchdog);
  }
}

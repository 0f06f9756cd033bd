import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Agent } from '../../src/agent/agent.ts';
import { readAgentConfig } from '../../src/agent/config.ts';
import type { Clock } from '../../src/clock.ts';
import { readCoordinatorConfig } from '../../src/coordinator/config.ts';
import { runCoordinator } from '../../src/coordinator/run.ts';
import type { Logger } from '../../src/log.ts';
import { configOf } from './coordinator-process.ts';
import { stateDirIn } from './agent-process.ts';

/** Our programs as they are, but in this process. */

interface ProgramDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Resolves when it is ready. It ends with the signal. */
export async function startCoordinator(
  folder: string,
  { clock, logger }: ProgramDeps,
  signal: AbortSignal,
): Promise<{ readonly port: number; readonly url: string; readonly ended: Promise<void> }> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'coordinator.yaml');
  writeFileSync(path, JSON.stringify(configOf(folder, 0)));
  return await new Promise((resolve, reject) => {
    const onReady = ({ port }: { readonly port: number }): void =>
      resolve({ port, url: `https://127.0.0.1:${port}`, ended });
    const deps = { clock, logger, version: 'proof', onReady };
    const ended = runCoordinator(readCoordinatorConfig(path), deps, signal);
    ended.catch(reject);
  });
}

/** Resolves when it is ready. It ends with the signal. */
export async function startAgent(
  folder: string,
  { clock, logger, viciSocket }: ProgramDeps & { readonly viciSocket: string },
  signal: AbortSignal,
): Promise<{ readonly ended: Promise<void> }> {
  mkdirSync(folder, { recursive: true });
  const path = join(folder, 'agent.yaml');
  const socket = join(folder, 'agent.sock');
  writeFileSync(path, JSON.stringify({ viciSocket, stateDir: stateDirIn(folder), socket, reflectorPorts: [] }));
  return await new Promise((resolve, reject) => {
    const agent = new Agent(readAgentConfig(path), {
      clock,
      bootMs: () => clock.monotonicMs(),
      random: Math.random,
      logger,
      agentVersion: 'proof',
      onReady: () => resolve({ ended }),
    });
    const ended = agent.run(signal);
    ended.catch(reject);
  });
}

import { statSync } from 'node:fs';
import type { NodeEvent } from '../control/report.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { freezeVerdict, nextSilence, type CharonRestart, type Silence } from './charon-freeze.ts';
import type { StateFile } from './disk.ts';

export interface FrozenCharonDeps {
  readonly viciSocket: string;
  /** The service that may be restarted; undefined: none. */
  readonly service: string | undefined;
  /** Asks systemd for the restart; rejects with the reason when it is refused. */
  readonly restart: (service: string) => Promise<void>;
  /** Keeps the last restart. */
  readonly restartFile: Pick<StateFile<CharonRestart>, 'write'>;
  readonly lastRestart: CharonRestart | undefined;
  /** Monotonic ms since the machine booted. */
  readonly bootMs: () => number;
  readonly nowMs: () => number;
  readonly logger: Logger;
  readonly onEvent: (event: NodeEvent) => void;
}

/** Watches for a charon that answers nothing any more, says so, and restarts it where that is allowed. */
export class FrozenCharon {
  readonly #deps: FrozenCharonDeps;
  #silence: Silence | undefined;
  #lastRestart: CharonRestart | undefined;
  /** Why the last restart did not come about. */
  #refusal: string | undefined;

  constructor(deps: FrozenCharonDeps) {
    this.#deps = deps;
    this.#lastRestart = deps.lastRestart;
  }

  answered(): void {
    this.#silence = nextSilence(this.#silence, { type: 'answered' }, this.#deps.bootMs());
  }

  /** charon is not there, or hangs up. */
  gone(): void {
    this.#silence = nextSilence(this.#silence, { type: 'gone' }, this.#deps.bootMs());
  }

  /** A deadline has passed. Returns what to tell people; a restart that is due has begun then. */
  unanswered(): string {
    const process = processAt(this.#deps.viciSocket);
    const nowMs = this.#deps.bootMs();
    this.#silence = nextSilence(
      this.#silence,
      process === undefined ? { type: 'gone' } : { type: 'unanswered', process },
      nowMs,
    );
    const { service = 'strongswan' } = this.#deps;
    const facts = { mayRestart: this.#deps.service !== undefined, lastRestart: this.#lastRestart };
    switch (freezeVerdict(this.#silence, facts)) {
      case 'answers':
      case 'silent':
        return 'charon does not answer: it may be frozen; its tunnels may still work';
      case 'forbidden':
        return `charon is frozen: it has answered nothing for a minute. Its tunnels may still work, but nothing can change. What helps is systemctl restart ${service}, which ends them and sets them up anew; restartFrozenCharon in agent.yaml lets the agent do that`;
      case 'restart':
        this.#restart(service, { bootMs: nowMs, process: this.#silence?.process ?? '' });
        return this.#restartingText(service);
      case 'restarting':
        return this.#restartingText(service);
      case 'again':
        return `charon is frozen again, shortly after it was restarted for that: the agent leaves it alone for now. See its log for what blocks it; what helps is systemctl restart ${service}`;
    }
  }

  #restartingText(service: string): string {
    if (this.#refusal !== undefined) {
      return `charon is frozen, and ${service} could not be restarted: ${this.#refusal}. What helps is systemctl restart ${service}`;
    }
    return `charon was frozen: systemd was asked to restart ${service}, and kills it if it does not stop`;
  }

  /** Written down first: what is not could be done over and over by agents that are restarted themselves. */
  #restart(service: string, restart: CharonRestart): void {
    const durationMs = restart.bootMs - (this.#silence?.sinceMs ?? restart.bootMs);
    this.#deps.logger.error({ service, durationMs }, 'charon is frozen, restarting it');
    this.#lastRestart = restart;
    this.#refusal = undefined;
    try {
      this.#deps.restartFile.write(restart);
    } catch (error) {
      this.#refused(service, error);
      return;
    }
    this.#deps.restart(service).then(
      () => this.#event(`charon was frozen, systemd was asked to restart ${service}`),
      (error: unknown) => this.#refused(service, error),
    );
  }

  #refused(service: string, error: unknown): void {
    this.#refusal = messageOf(error);
    this.#deps.logger.error({ err: error, service }, 'charon not restarted');
    this.#event(`charon is frozen, and ${service} could not be restarted: ${this.#refusal}`);
  }

  #event(message: string): void {
    this.#deps.onEvent({ atMs: this.#deps.nowMs(), kind: 'charon', connection: null, child: null, message });
  }
}

/** Names the charon process by the file that it has made for its socket; undefined when there is none. */
function processAt(socket: string): string | undefined {
  const file = statSync(socket, { bigint: true, throwIfNoEntry: false });
  return file === undefined ? undefined : `${file.ino}:${file.mtimeNs}`;
}

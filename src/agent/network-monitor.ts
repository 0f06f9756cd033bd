import { execFile, spawn } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { backoffMs, type BackoffPolicy } from '../backoff.ts';
import { pause, type Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { INTERFACES, PROTOCOL } from './path-interfaces.ts';

const run = promisify(execFile);

/** One change comes as several messages: the address, its routes, the link. */
const SETTLE_MS = 300;
const QUERY_TIMEOUT_MS = 5000;
const RESTART: BackoffPolicy = { baseMs: 1000, maxMs: 60_000 };
/** Messages that came for so long were no failure. */
const LIVED_MS = 60_000;

export interface NetworkMonitorDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly random: () => number;
  readonly logger: Logger;
  /** The machine has other addresses or another default route than before. */
  readonly onChange: () => void;
  /** Somebody may have taken away or changed what this node has made: its XFRM interfaces, their rules or routes. */
  readonly onOwnTouched: () => void;
}

/**
 * Tells when the machine is on another network, and when it may have lost what this node has set up in it. The kernel's messages (`ip monitor`) only say when to look: leases that
 * are renewed make many of them, and mean nothing. charon's own routes, one for each tunnel, are not even looked at.
 */
export class NetworkMonitor {
  readonly #deps: NetworkMonitorDeps;
  #last: string | undefined;
  #isLookDue = false;
  #isLooking = false;

  constructor(deps: NetworkMonitorDeps) {
    this.#deps = deps;
  }

  /** Until the signal aborts; never rejects. Without `ip` it tells nothing. */
  async run(signal: AbortSignal): Promise<void> {
    this.#last = await fingerprint();
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const beganMs = this.#deps.clock.monotonicMs();
      const reason = await this.#follow(signal);
      if (signal.aborted) break;
      if (this.#deps.clock.monotonicMs() - beganMs >= LIVED_MS) attempt = 1;
      this.#deps.logger.warn({ attempt, reason }, 'network changes are not seen');
      await pause(backoffMs(attempt, RESTART, this.#deps.random), signal);
      // What has changed while nobody followed is told by no message.
      this.#lookSoon(signal);
    }
  }

  /** Resolves with the reason when the messages end. */
  #follow(signal: AbortSignal): Promise<string> {
    return new Promise((resolve) => {
      const monitor = spawn('ip', ['monitor', 'link', 'address', 'route', 'rule'], {
        stdio: ['ignore', 'pipe', 'ignore'],
        signal,
      });
      createInterface({ input: monitor.stdout }).on('line', (line) => {
        if (isOwnTouched(line)) this.#deps.onOwnTouched();
        if (isWorthALook(line)) this.#lookSoon(signal);
      });
      monitor.once('error', (error) => resolve(error.message));
      monitor.once('close', (code) => resolve(`ip monitor ended with ${code}`));
    });
  }

  #lookSoon(signal: AbortSignal): void {
    this.#isLookDue = true;
    if (!this.#isLooking) void this.#lookWhileDue(signal);
  }

  /** One look after the other: of two at once, the older one's answer might come last. */
  async #lookWhileDue(signal: AbortSignal): Promise<void> {
    this.#isLooking = true;
    while (this.#isLookDue && !signal.aborted) {
      await pause(SETTLE_MS, signal);
      this.#isLookDue = false;
      if (!signal.aborted) await this.#look(signal);
    }
    this.#isLooking = false;
  }

  async #look(signal: AbortSignal): Promise<void> {
    const now = await fingerprint();
    if (signal.aborted || now === undefined || now === this.#last) return;
    const isFirst = this.#last === undefined;
    this.#last = now;
    if (!isFirst) this.#deps.onChange();
  }
}

/** Whether a line of `ip monitor` is about a link or an address (they begin with the interface's number) or a default route. */
export function isWorthALook(line: string): boolean {
  return /^(?:Deleted )?\d+: |\bdefault\b/.test(line);
}

/** Whether it is about one of this node's interfaces, or about a rule or a route of its own that is gone. */
export function isOwnTouched(line: string): boolean {
  return OWN_INTERFACE.test(line) || OWN_GONE.test(line);
}

const OWN_INTERFACE = new RegExp(`^(?:Deleted )?\\d+: (?:${Object.values(INTERFACES).join('|')})[@:]`);
const OWN_GONE = new RegExp(`^Deleted .*\\bproto ${PROTOCOL}\\b`);

/**
 * What other machines notice of this one's network: its default routes, and the addresses of the interfaces that they go
 * through. Containers come and go on others. Undefined when it cannot be found out.
 */
async function fingerprint(): Promise<string | undefined> {
  try {
    const routes = await Promise.all(['-4', '-6'].map(defaultRoutes));
    const devices = new Set(routes.flatMap((text) => Array.from(text.matchAll(/ dev (\S+)/g), ([, device]) => device)));
    const interfaces = Object.entries(networkInterfaces()).filter(([name]) => devices.has(name));
    const addresses = interfaces.flatMap(([, all = []]) => all.map(({ address }) => address));
    return [...addresses.filter((address) => !address.startsWith('fe80:')).sort(), ...routes].join(' ');
  } catch {
    return undefined;
  }
}

/** Without what changes by itself, such as the life of a route that a router has announced. */
async function defaultRoutes(family: string): Promise<string> {
  const { stdout } = await run('ip', ['-o', family, 'route', 'show', 'default'], { timeout: QUERY_TIMEOUT_MS });
  return stdout.replaceAll(/ expires \S+/g, '');
}

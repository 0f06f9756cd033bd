import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findStrongswan, type StrongswanInstallation, type StrongswanVersion } from '../lab/strongswan.ts';

const run = promisify(execFile);

const PROGRAM = '/usr/sbin/charon-systemd';
const START_MS_MAX = 15_000;
/** A charon with stuck workers never ends by SIGTERM. */
const STOP_MS_MAX = 3000;

/** Enough for certificates, PSK and user-space ESP; a kernel without ESP does. */
export const CHARON_PLUGINS =
  'random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem gmp curve25519 hmac kdf gcm aes sha2 sha1 ' +
  'kernel-libipsec kernel-netlink socket-default vici counters';

export interface CharonDaemonOptions {
  /** `5.9`, the machine's own, by default. */
  readonly strongswan?: StrongswanVersion;
  /** An existing network namespace; by default one is made, with loopback only, and removed again. */
  readonly namespace?: string;
  /** Names of the plugins to load, space-separated. */
  readonly plugins?: string;
  /** More lines for the `charon-systemd` section of strongswan.conf. */
  readonly settings?: string;
}

/** Whether this machine can run one: root, and strongSwan installed. */
export const canRunCharon = process.getuid?.() === 0 && existsSync(PROGRAM);

/** A real charon of its own: own folder, own socket, own network namespace. */
export class CharonDaemon implements AsyncDisposable {
  readonly folder: string;
  readonly namespace: string;
  readonly socketPath: string;
  readonly #ownsNamespace: boolean;
  readonly #installation: StrongswanInstallation;
  #process: ChildProcess | undefined;

  private constructor(folder: string, installation: StrongswanInstallation, options: CharonDaemonOptions) {
    this.folder = folder;
    this.#installation = installation;
    this.socketPath = join(folder, 'charon.vici');
    this.#ownsNamespace = options.namespace === undefined;
    // The folder's name is unique on this machine, and interface and namespace names are global.
    this.namespace = options.namespace ?? `cygvici-${folder.slice(-6)}`;
  }

  /** Resolves when its socket accepts connections; throws with the end of its log when it does not get there. */
  static async start(options: CharonDaemonOptions = {}): Promise<CharonDaemon> {
    const installation = await findStrongswan(options.strongswan ?? '5.9');
    const daemon = new CharonDaemon(await mkdtemp(join(tmpdir(), 'cygnet-charon-')), installation, options);
    await writeFile(join(daemon.folder, 'strongswan.conf'), daemon.#configuration(options));
    if (daemon.#ownsNamespace) {
      await run('ip', ['netns', 'add', daemon.namespace]);
      await run('ip', ['-n', daemon.namespace, 'link', 'set', 'lo', 'up']);
    }
    try {
      await daemon.#launch();
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  readLog(): Promise<string> {
    return readFile(join(this.folder, 'charon.log'), 'utf8');
  }

  /** Resolves when the process is gone. SIGTERM becomes SIGKILL after three seconds. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#process;
    if (child === undefined || hasEnded(child)) return;
    const ended = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    await ended;
    clearTimeout(timer);
  }

  /** Stops its threads where they are: it holds its socket and answers nothing, as a charon without workers does. */
  freeze(): void {
    this.#process?.kill('SIGSTOP');
  }

  /** Kills it and starts it again: same configuration, nothing loaded. */
  async restart(): Promise<void> {
    await this.stop('SIGKILL');
    await rm(this.socketPath, { force: true });
    await this.#launch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (this.#ownsNamespace) await run('ip', ['netns', 'del', this.namespace]);
    await rm(this.folder, { recursive: true, force: true });
  }

  /** charon-systemd stays in the foreground without systemd and keeps no PID file, so that many can run. */
  async #launch(): Promise<void> {
    const output = await open(join(this.folder, 'output'), 'a');
    const command = this.#installation.command(this.folder, [PROGRAM]);
    const child = spawn('ip', ['netns', 'exec', this.namespace, ...command], {
      env: { ...process.env, STRONGSWAN_CONF: join(this.#seenFolder, 'strongswan.conf') },
      stdio: ['ignore', output.fd, output.fd],
    });
    this.#process = child;
    await output.close();
    for (let waitedMs = 0; !(await accepts(this.socketPath)); waitedMs += 25) {
      if (hasEnded(child) || waitedMs > START_MS_MAX) {
        const log = await this.readLog().catch(() => 'no log');
        throw new Error(`charon did not start:\n${log.slice(-2000)}`);
      }
      await delay(25);
    }
  }

  /** Where charon, which may be in a chroot, finds its folder. */
  get #seenFolder(): string {
    return this.#installation.seenFrom(this.folder);
  }

  #configuration(options: CharonDaemonOptions): string {
    return `charon-systemd {
  load_modular = no
  load = ${options.plugins ?? CHARON_PLUGINS}
  plugins {
    vici { socket = unix://${join(this.#seenFolder, 'charon.vici')} }
    kernel-netlink { fwmark = !0x42 }
    socket-default { fwmark = 0x42 }
    kernel-libipsec { allow_peer_ts = yes }
  }
  journal { default = -1 }
  filelog { log { path = ${join(this.#seenFolder, 'charon.log')}
    default = 1
    flush_line = yes } }
  ${options.settings ?? ''}
}
`;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function accepts(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath });
    const settle = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

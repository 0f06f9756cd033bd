import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

const PROGRAM = '/usr/sbin/charon-systemd';
const START_MS_MAX = 15_000;

const PLUGINS =
  'random nonce openssl pem pubkey hmac kdf gcm aes sha2 kernel-libipsec kernel-netlink socket-default vici counters';
const PORT = 4502;

/**
 * A real charon whose VICI socket is a TCP port, in a network namespace of its own with a wire to this one. The wire's
 * addresses are of the range for benchmarks (RFC 2544), which no network uses.
 */
export class TcpCharon implements AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number };
  readonly #folder: string;
  readonly #namespace: string;
  #process: ChildProcess | undefined;

  private constructor(folder: string, host: string) {
    this.#folder = folder;
    this.#namespace = `cygtcp-${folder.slice(-6)}`;
    this.address = { host, port: PORT };
  }

  /** Resolves when its socket accepts connections. */
  static async start(): Promise<TcpCharon> {
    const subnet = `198.${randomInt(18, 20)}.${randomInt(256)}`;
    const charon = new TcpCharon(await mkdtemp(join(tmpdir(), 'cygnet-tcp-charon-')), `${subnet}.2`);
    await charon.#wire(`${subnet}.1/30`);
    await writeFile(join(charon.#folder, 'strongswan.conf'), charon.#configuration());
    await charon.#launch();
    return charon;
  }

  /** Resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined || hasEnded(child)) return;
    const ended = new Promise((resolve) => {
      child.once('exit', resolve);
    });
    child.kill('SIGKILL');
    await ended;
  }

  /** Kills it and starts it again, with nothing loaded. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#launch();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    // The wire goes with it.
    await run('ip', ['netns', 'del', this.#namespace]);
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #wire(ownAddress: string): Promise<void> {
    const [namespace, wire] = [this.#namespace, `vici-${this.#folder.slice(-6)}`];
    await run('ip', ['netns', 'add', namespace]);
    await run('ip', ['link', 'add', wire, 'type', 'veth', 'peer', 'name', 'wire', 'netns', namespace]);
    await run('ip', ['addr', 'add', ownAddress, 'dev', wire]);
    await run('ip', ['link', 'set', wire, 'up']);
    await run('ip', ['-n', namespace, 'addr', 'add', `${this.address.host}/30`, 'dev', 'wire']);
    await run('ip', ['-n', namespace, 'link', 'set', 'wire', 'up']);
  }

  async #launch(): Promise<void> {
    const output = await open(join(this.#folder, 'output'), 'a');
    const child = spawn('ip', ['netns', 'exec', this.#namespace, PROGRAM], {
      env: { ...process.env, STRONGSWAN_CONF: join(this.#folder, 'strongswan.conf') },
      stdio: ['ignore', output.fd, output.fd],
    });
    this.#process = child;
    await output.close();
    for (let waitedMs = 0; !(await accepts(this.address)); waitedMs += 10) {
      if (hasEnded(child) || waitedMs > START_MS_MAX) {
        const log = await readFile(join(this.#folder, 'charon.log'), 'utf8').catch(() => 'no log');
        throw new Error(`charon did not start:\n${log.slice(-2000)}`);
      }
      await delay(10);
    }
  }

  #configuration(): string {
    return `charon-systemd {
  load_modular = no
  load = ${PLUGINS}
  plugins { vici { socket = tcp://${this.address.host}:${this.address.port} } }
  journal { default = -1 }
  filelog { log { path = ${join(this.#folder, 'charon.log')}
    default = 1
    flush_line = yes } }
}
`;
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function accepts(address: { readonly host: string; readonly port: number }): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const settle = (accepted: boolean): void => {
      socket.destroy();
      resolve(accepted);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
}

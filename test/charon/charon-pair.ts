import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { ViciSession } from '../../src/vici/session.ts';
import { CharonDaemon, type CharonDaemonOptions } from './charon-daemon.ts';

const run = promisify(execFile);
const ip = (...args: readonly string[]): Promise<unknown> => run('ip', [...args]);

/** One end of the wire. */
export interface Side {
  readonly address: string;
  readonly subnet: string;
  /** kernel-libipsec of 5.9.8 wants an address of its own within each local selector. */
  readonly inner: string;
  readonly id: string;
}

export const LEFT: Side = { address: '10.99.0.1', subnet: '10.1.0.0/24', inner: '10.1.0.1/24', id: 'left.example' };
export const RIGHT: Side = { address: '10.99.0.2', subnet: '10.2.0.0/24', inner: '10.2.0.1/24', id: 'right.example' };
const SECRET = 'for the test only';

/** Two real charons on one wire, each in a network namespace of its own. */
export class CharonPair implements AsyncDisposable {
  readonly left: CharonDaemon;
  readonly right: CharonDaemon;

  private constructor(left: CharonDaemon, right: CharonDaemon) {
    this.left = left;
    this.right = right;
  }

  static async start(options: CharonDaemonOptions = {}): Promise<CharonPair> {
    const left = await CharonDaemon.start(options);
    const right = await CharonDaemon.start(options);
    const pair = new CharonPair(left, right);
    await ip('link', 'add', 'wire', 'netns', left.namespace, 'type', 'veth', 'peer', 'wire', 'netns', right.namespace);
    for (const [{ namespace }, { address, inner }] of pair.#sides()) {
      await ip('-n', namespace, 'addr', 'add', `${address}/24`, 'dev', 'wire');
      await ip('-n', namespace, 'addr', 'add', inner, 'dev', 'lo');
      await ip('-n', namespace, 'link', 'set', 'wire', 'up');
    }
    return pair;
  }

  /** Loads a tunnel of that name, with one child of the same name, and its secret into the left one. */
  loadLeft(session: ViciSession, name: string): Promise<void> {
    return load(session, name, LEFT, RIGHT);
  }

  loadRight(session: ViciSession, name: string): Promise<void> {
    return load(session, name, RIGHT, LEFT);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.left[Symbol.asyncDispose](), this.right[Symbol.asyncDispose]()]);
  }

  #sides(): readonly (readonly [CharonDaemon, Side])[] {
    return [
      [this.left, LEFT],
      [this.right, RIGHT],
    ];
  }
}

async function load(session: ViciSession, name: string, own: Side, peer: Side): Promise<void> {
  await session.call('load-shared', { type: 'IKE', data: SECRET, owners: [own.id, peer.id] });
  await session.call('load-conn', {
    [name]: {
      version: 2,
      local_addrs: [own.address],
      remote_addrs: [peer.address],
      unique: 'never',
      local: { auth: 'psk', id: own.id },
      remote: { auth: 'psk', id: peer.id },
      children: { [name]: { local_ts: [own.subnet], remote_ts: [peer.subnet] } },
    },
  });
}

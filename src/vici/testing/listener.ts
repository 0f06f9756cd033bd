import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ViciAddress } from '../dial.ts';

/** Where to listen: a Unix socket in a temporary folder of its own, or a free TCP port of the loopback. */
export type FakeTransport = 'unix' | 'tcp';

/** A place to listen at, which stays the same while nobody listens. */
export class Listener {
  readonly address: ViciAddress;
  readonly #folder: string | undefined;
  #server: Server | undefined;

  private constructor(address: ViciAddress, folder: string | undefined) {
    this.address = address;
    this.#folder = folder;
  }

  static async choose(transport: FakeTransport): Promise<Listener> {
    if (transport === 'tcp') return new Listener({ host: '127.0.0.1', port: await freePort() }, undefined);
    const folder = await mkdtemp(join(tmpdir(), 'fake-charon-'));
    return new Listener({ socketPath: join(folder, 'charon.vici') }, folder);
  }

  /** Resolves when it listens. `backlog`: connections that may wait to be accepted. */
  async open(backlog: number, onSocket: (socket: Socket) => void): Promise<void> {
    const { address } = this;
    this.#server = createServer({ noDelay: true }, onSocket);
    const place = 'socketPath' in address ? { path: address.socketPath } : { host: address.host, port: address.port };
    await listening(this.#server, { ...place, backlog });
  }

  /** Resolves when nobody listens and every connection has ended; those have to be ended by someone else. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
  }

  /** Takes the folder away. */
  async remove(): Promise<void> {
    await this.close();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }
}

function listening(server: Server, options: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(options, resolve);
  });
}

/** Nobody else is given it as long as the kernel has others that were used less lately. */
async function freePort(): Promise<number> {
  const server = createServer();
  await listening(server, { host: '127.0.0.1', port: 0 });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}

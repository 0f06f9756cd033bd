import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Backups } from '../../src/coordinator/backups.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import type { NodeChannel } from '../../src/coordinator/channel-host.ts';
import { openStore, type Store } from '../../src/coordinator/store.ts';
import type { AgentFrame, CoordinatorFrame } from '../../src/control/frames.ts';
import { createCsr } from '../../src/identity/csr.ts';
import type { EnrolmentRequest } from '../../src/identity/enrolment.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { parseToken } from '../../src/identity/token.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { createLogger } from '../../src/log.ts';

const START_MS = 1_700_000_000_000;

/** A coordinator on a store of its own, with a clock that the test moves. */
export class CoreFixture implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'cygnet-core-'));
  readonly #ca: MeshCa;
  nowMs = START_MS;
  store: Store;
  core: Coordinator;

  constructor(ca: MeshCa) {
    this.#ca = ca;
    this.store = openStore(join(this.folder, 'coordinator.db'));
    this.core = this.#start();
  }

  /** The process ends in good order and begins again. */
  restart(): void {
    this.core.flush();
    this.store.close();
    this.store = openStore(join(this.folder, 'coordinator.db'));
    this.core = this.#start();
  }

  /** Lets a node into the mesh. */
  async enrol(node: string): Promise<EnrolmentRequest> {
    const request = await enrolmentRequest(this.core.issueToken(node as NodeName, 3600).token);
    await this.core.enroll(request, '192.0.2.7');
    return request;
  }

  /** A channel of a node with nothing in hand, or with what a hello says. */
  connect(node: string, held: Partial<Extract<AgentFrame, { type: 'hello' }>> = {}): FakeChannel {
    const channel = new FakeChannel(node as NodeName);
    const hello = { protocol: 1, agentVersion: '1.2.3', epoch: null, generation: 0, digest: null, ...held };
    this.core.opened(channel, { type: 'hello', ...hello });
    return channel;
  }

  [Symbol.dispose](): void {
    this.store.close();
    rmSync(this.folder, { recursive: true });
  }

  #start(): Coordinator {
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const logger = createLogger('test', 'silent');
    const backups = new Backups({ stateDir: this.folder, store: this.store, ca: this.#ca, version: '1.2.3', clock });
    return new Coordinator({ store: this.store, backups, ca: this.#ca, version: '1.2.3', clock, logger });
  }
}

/** Keeps what the coordinator sends. */
export class FakeChannel implements NodeChannel {
  readonly node: NodeName;
  readonly remote = '192.0.2.7';
  readonly sent: CoordinatorFrame[] = [];
  closedWith: number | undefined;

  constructor(node: NodeName) {
    this.node = node;
  }

  send(frame: CoordinatorFrame): void {
    this.sent.push(frame);
  }

  close(code: number): void {
    this.closedWith = code;
  }

  /** What was sent since the last time, by kind. */
  take(): string[] {
    return this.sent.splice(0).map(({ type }) => type);
  }

  /** The newest frame of a kind that was sent and not taken. */
  last<T extends CoordinatorFrame['type']>(type: T): Extract<CoordinatorFrame, { type: T }> | undefined {
    return this.sent.findLast((frame): frame is Extract<CoordinatorFrame, { type: T }> => frame.type === type);
  }
}

export async function enrolmentRequest(token: string): Promise<EnrolmentRequest> {
  const csr = async (): Promise<string> => createCsr(await generatePrivateKey('ecdsa-p256'));
  return { secret: parseToken(token).secret, channelCsr: await csr(), ikeCsr: await csr() };
}

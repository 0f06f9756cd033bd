import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SigningKeyReply } from '../../src/coordinator/api.ts';
import { openApiServer, type ApiServer } from '../../src/coordinator/api-server.ts';
import { Backups } from '../../src/coordinator/backups.ts';
import { Coordinator } from '../../src/coordinator/coordinator.ts';
import { certificatePolicySchema } from '../../src/coordinator/certificate-policy.ts';
import type { NodeChannel } from '../../src/coordinator/channel-host.ts';
import { SigningKeys } from '../../src/coordinator/signing-keys.ts';
import type { SigningKeyChange } from '../../src/coordinator/state-delivery.ts';
import { openStore, type Store } from '../../src/coordinator/store.ts';
import { PROTOCOL_VERSION, type AgentFrame, type CoordinatorFrame } from '../../src/control/frames.ts';
import type { Signed } from '../../src/control/statement.ts';
import { createCsr } from '../../src/identity/csr.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../../src/identity/enrolment.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { parseToken } from '../../src/identity/token.ts';
import type { NodeName } from '../../src/ike/connection.ts';
import { patchState } from '../../src/ike/state-delta.ts';
import { createLogger } from '../../src/log.ts';

const START_MS = 1_700_000_000_000;

/** A coordinator on a store of its own, with a clock that the test moves. */
export class CoreFixture implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'cygnet-core-'));
  #ca: MeshCa;
  /** File of the public key where the operator keeps the private one. */
  readonly offlineKey: string | undefined;
  nowMs = START_MS;
  store: Store;
  core: Coordinator;
  signingKeys: SigningKeys;

  /** `like` is one that is closed, whose files this one begins with, at its time. */
  constructor(ca: MeshCa, offlineKey?: string, like?: CoreFixture) {
    this.#ca = ca;
    this.offlineKey = offlineKey;
    if (like !== undefined) {
      cpSync(like.folder, this.folder, { recursive: true });
      this.nowMs = like.nowMs;
    }
    this.store = openStore(join(this.folder, 'coordinator.db'), this.nowMs);
    this.signingKeys = this.#loadKeys();
    this.core = this.#start();
  }

  /** The process ends in good order and begins again; with the mesh's CA as it is now. */
  restart(ca: MeshCa = this.#ca): void {
    this.#ca = ca;
    this.core.flush();
    this.store.close();
    this.store = openStore(join(this.folder, 'coordinator.db'), this.nowMs);
    this.signingKeys = this.#loadKeys();
    this.core = this.#start();
  }

  /** Lets a node into the mesh. */
  async enrol(node: string): Promise<EnrolmentRequest> {
    const request = await enrolmentRequest(this.core.tokens.issue(node as NodeName, 3600).token);
    await this.core.channels.enroll(request, '192.0.2.7');
    return request;
  }

  /** The reply to another enrolment of the node. */
  async enrolled(node: string): Promise<EnrolmentReply> {
    const request = await enrolmentRequest(this.core.tokens.issue(node as NodeName, 3600).token);
    return this.core.channels.enroll(request, '192.0.2.7');
  }

  /** A channel of a node with nothing in hand, or with what a hello says. */
  connect(node: string, held: Partial<Extract<AgentFrame, { type: 'hello' }>> = {}): FakeChannel {
    const channel = new FakeChannel(node as NodeName);
    const keys = [this.signingKeys.current];
    const nothing = { epoch: null, generation: 0, digest: null, keys };
    const hello = { protocol: PROTOCOL_VERSION, agentVersion: '1.2.3', ...nothing, ...held };
    this.core.channels.opened(channel, { type: 'hello', ...hello });
    return channel;
  }

  /** The operator's API on a socket. */
  serveApi(socketPath = join(this.folder, 'api.sock')): Promise<ApiServer> {
    return openApiServer({ socketPath, coordinator: this.core, logger: createLogger('test', 'silent') });
  }

  /** As the operator does. */
  signStates(signatures: readonly Signed[]): readonly NodeName[] {
    return this.core.delivery.sign(signatures, this.core.audit.beginOwn('state.sign'));
  }

  /** As the operator does. */
  changeSigningKey(change: SigningKeyChange): SigningKeyReply {
    return this.core.delivery.changeKey(change, this.core.audit.beginOwn('signing-key.rotate'));
  }

  [Symbol.dispose](): void {
    this.store.close();
    rmSync(this.folder, { recursive: true });
  }

  #loadKeys(): SigningKeys {
    const { folder: stateDir, store, offlineKey } = this;
    return new SigningKeys({ stateDir, mesh: this.#ca.mesh, store: store.signing, offlineKey });
  }

  #start(): Coordinator {
    const clock = { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs };
    const logger = createLogger('test', 'silent');
    const { store, signingKeys } = this;
    const backups = new Backups({ stateDir: this.folder, store, ca: this.#ca, version: '1.2.3', clock });
    const certificates = certificatePolicySchema.parse({});
    const parts = { store, backups, ca: this.#ca, signingKeys, certificates };
    return new Coordinator({ ...parts, version: '1.2.3', clock, logger });
  }
}

/** Keeps what the coordinator sends. */
export class FakeChannel implements NodeChannel {
  readonly node: NodeName;
  readonly key: string;
  readonly remote = '192.0.2.7';
  readonly sent: CoordinatorFrame[] = [];
  closedWith: number | undefined;
  /** What the node holds after all that was sent. */
  state: unknown;

  constructor(node: NodeName, key = '') {
    this.node = node;
    this.key = key;
  }

  send(frame: CoordinatorFrame): void {
    this.sent.push(frame);
    if (frame.type === 'snapshot') this.state = JSON.parse(frame.state);
    if (frame.type === 'delta' && this.state !== undefined) this.state = patchState(this.state, frame.delta);
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

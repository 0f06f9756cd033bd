import { once } from 'node:events';
import { X509Certificate } from 'node:crypto';
import { WebSocket } from 'ws';
import { encodeFrame } from '../../src/control/codec.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { issueChannelCertificate, issueServerCertificate } from '../../src/identity/certificates.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../../src/identity/enrolment.ts';
import type { RenewalReply, RenewalRequest } from '../../src/identity/renewal.ts';
import { spkiSha256 } from '../../src/identity/spki.ts';
import { nodeNameSchema, type NodeName } from '../../src/ike/connection.ts';
import { systemClock } from '../../src/clock.ts';
import type { AgentFrame } from '../../src/control/frames.ts';
import { createLogger } from '../../src/log.ts';
import type { ChannelHost, NodeChannel, RefusedPeer, ShownNode } from '../../src/coordinator/channel-host.ts';
import { openChannelServer, type ChannelServer } from '../../src/coordinator/channel-server.ts';
import type { ChannelLimits } from '../../src/coordinator/channel-limits.ts';
import { firstHello } from '../control/frame-builders.ts';
import { publicKeyOf } from '../identity/mesh.ts';

export const EDGE1: NodeName = nodeNameSchema.parse('edge1');

/** What a node holds after its enrolment. */
export interface NodeKeys {
  readonly key: string;
  readonly cert: string;
  readonly spkiSha256: string;
}

export async function nodeKeys(ca: MeshCa, validityDays = 1): Promise<NodeKeys> {
  const key = await generatePrivateKey('ecdsa-p256');
  const publicKey = publicKeyOf(key);
  const cert = await issueChannelCertificate(ca, { node: EDGE1, publicKey, nowMs: Date.now(), validityDays });
  return { key, cert, spkiSha256: spkiSha256(publicKey) };
}

/** Remembers what it was told, in words; `next` waits for one more of them. */
export class FakeHost implements ChannelHost {
  readonly heard: string[] = [];
  readonly refusals: string[] = [];
  readonly channels: NodeChannel[] = [];
  readonly keys = new Map<string, NodeName>();
  readonly revokedKeys = new Map<string, NodeName>();
  enrolment: (request: EnrolmentRequest) => Promise<EnrolmentReply> = () => Promise.reject(new Error('not expected'));
  renewal: (node: ShownNode, request: RenewalRequest) => Promise<RenewalReply> = () =>
    Promise.reject(new Error('not expected'));
  /** PEM of the expired certificates that may be renewed. */
  readonly renewable = new Set<string>();
  onFrame: (frame: AgentFrame) => void = () => undefined;
  #waiting: (() => void)[] = [];

  nodeOfChannelKey(key: string): NodeName | undefined {
    return this.keys.get(key);
  }

  revokedNodeOf(key: string): NodeName | undefined {
    return this.revokedKeys.get(key);
  }

  adoptForgotten(): undefined {
    return undefined;
  }

  opened(channel: NodeChannel): void {
    this.channels.push(channel);
    this.#note(`opened ${channel.node} from ${channel.remote}`);
  }

  received(channel: NodeChannel, frame: AgentFrame): void {
    this.onFrame(frame);
    this.#note(`received ${frame.type} of ${channel.node}`);
  }

  refused({ remote, reason, node }: RefusedPeer): void {
    this.refusals.push(`${node ?? 'nobody'} from ${remote}: ${reason}`);
  }

  closed(channel: NodeChannel): void {
    this.#note(`closed ${channel.node}`);
  }

  enroll(request: EnrolmentRequest): Promise<EnrolmentReply> {
    return this.enrolment(request);
  }

  mayRenewExpired(_node: NodeName, certificate: X509Certificate): boolean {
    return [...this.renewable].some((pem) => new X509Certificate(pem).raw.equals(certificate.raw));
  }

  renew(node: ShownNode, request: RenewalRequest): Promise<RenewalReply> {
    return this.renewal(node, request);
  }

  /** Resolves once that much has been heard in all. */
  async until(count: number): Promise<readonly string[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.heard;
  }

  #note(text: string): void {
    this.heard.push(text);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

/** A server on loopback with a certificate of this CA. */
export async function openTestServer(
  ca: MeshCa,
  host: ChannelHost,
  limits: Partial<ChannelLimits> = {},
  hosts: readonly string[] = ['127.0.0.1'],
): Promise<ChannelServer> {
  const key = await generatePrivateKey('ecdsa-p256');
  const certificate = await issueServerCertificate(ca, { hosts, publicKey: publicKeyOf(key), nowMs: Date.now() });
  return openChannelServer(
    {
      host: '127.0.0.1',
      port: 0,
      key,
      certificateChain: certificate + ca.certificatePem,
      ca: ca.certificatePem,
      ...(ca.chainPem !== undefined && { chain: ca.chainPem }),
      clock: systemClock,
      logger: createLogger('test', 'silent'),
      limits,
    },
    host,
  );
}

/**
 * What becomes of a control channel that is opened with these (PEM): `open`, or the HTTP status of the refusal. `sockets` is
 * what the caller ends.
 */
export async function knockAt(
  { port, ca, sockets }: { readonly port: number; readonly ca: MeshCa; readonly sockets: WebSocket[] },
  { key, certificate }: { readonly key: string; readonly certificate: string },
): Promise<string> {
  const socket = new WebSocket(`wss://127.0.0.1:${port}/v1/channel`, { ca: ca.certificatePem, key, cert: certificate });
  sockets.push(socket);
  try {
    await once(socket, 'open');
  } catch (error) {
    return /response: (\d+)/.exec((error as Error).message)?.[1] ?? String(error);
  }
  // The core hears of a channel by its hello; its answer to the ping says that it has.
  socket.send(encodeFrame(firstHello));
  socket.ping();
  await once(socket, 'pong');
  return 'open';
}

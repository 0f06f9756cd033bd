import type { X509Certificate } from 'node:crypto';
import type { AgentFrame, CoordinatorFrame } from '../control/frames.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import type { RenewalReply, RenewalRequest } from '../identity/renewal.ts';
import type { NodeName } from '../ike/connection.ts';

/** One node's open control channel, as the core sees it. */
export interface NodeChannel {
  readonly node: NodeName;
  /** Hex SHA-256 of the SPKI of the key that it was opened with. */
  readonly key: string;
  /** Source address of the node, for the operator. */
  readonly remote: string;
  /** Queues a frame; on a channel that is closed or too far behind it closes the channel instead of keeping it. */
  send(frame: CoordinatorFrame): void;
  close(code: number, reason: string): void;
}

/** A node that has shown itself by a channel certificate. */
export type ShownNode = Pick<NodeChannel, 'node' | 'key' | 'remote'>;

/** Who was turned away for its certificate. */
export interface RefusedPeer {
  readonly action: 'channel.open' | 'certificate.renew';
  readonly remote: string;
  readonly reason: string;
  /** Whose key it was, before it was revoked. */
  readonly node?: NodeName;
}

/** What the TLS port (control channels, enrolment, renewal) needs of the coordinator's core. */
export interface ChannelHost {
  /**
   * The node that owns this channel key (hex SHA-256 of its SPKI), the present or the next one, or undefined: then it is
   * not let in.
   */
  nodeOfChannelKey(spkiSha256: string): NodeName | undefined;
  /** The node that this key belonged to before it was revoked, with all its keys. */
  revokedNodeOf(spkiSha256: string): NodeName | undefined;
  /**
   * The node whose channel certificate this is although its key is unknown, because the store was restored from a backup
   * that is older. TLS has found it valid. From now on the key is known.
   */
  adoptForgotten(certificate: X509Certificate, remote: string): NodeName | undefined;
  /** After a node's hello. An older channel of the same node is closed with `CLOSE_CODES.replaced` by the core. */
  opened(channel: NodeChannel, hello: Extract<AgentFrame, { type: 'hello' }>): void;
  /** Any later frame, already validated. */
  received(channel: NodeChannel, frame: AgentFrame): void;
  closed(channel: NodeChannel): void;
  /** After a peer was turned away, which the core has heard nothing of. */
  refused(peer: RefusedPeer): void;
  /** Consumes the token and the node's record in one transaction; throws an EnrolmentRefused. */
  enroll(request: EnrolmentRequest, remote: string): Promise<EnrolmentReply>;
  /** Whether this node was given exactly this certificate, and it has expired so lately that it may be renewed. */
  mayRenewExpired(node: NodeName, certificate: X509Certificate): boolean;
  /** Gives a node its next certificate, or again the one that it asked for before; throws a RenewalRefused. */
  renew(node: ShownNode, request: RenewalRequest): Promise<RenewalReply>;
}

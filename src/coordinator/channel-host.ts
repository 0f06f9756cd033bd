import type { AgentFrame, CoordinatorFrame } from '../control/frames.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../identity/enrolment.ts';
import type { NodeName } from '../ike/connection.ts';

/** One node's open control channel, as the core sees it. */
export interface NodeChannel {
  readonly node: NodeName;
  /** Source address of the node, for the operator. */
  readonly remote: string;
  /** Queues a frame; on a channel that is closed or too far behind it closes the channel instead of keeping it. */
  send(frame: CoordinatorFrame): void;
  close(code: number, reason: string): void;
}

/** What the TLS port (control channels, enrolment) needs of the coordinator's core. */
export interface ChannelHost {
  /** The node that owns this channel certificate (hex SHA-256 of its SPKI), or undefined: then it is not let in. */
  nodeOfChannelKey(spkiSha256: string): NodeName | undefined;
  /** The node that this key belonged to before it was revoked, with all its keys. */
  revokedNodeOf(spkiSha256: string): NodeName | undefined;
  /** After a node's hello. An older channel of the same node is closed with `CLOSE_CODES.replaced` by the core. */
  opened(channel: NodeChannel, hello: Extract<AgentFrame, { type: 'hello' }>): void;
  /** Any later frame, already validated. */
  received(channel: NodeChannel, frame: AgentFrame): void;
  closed(channel: NodeChannel): void;
  /** Consumes the token and the node's record in one transaction; throws an EnrolmentRefused. */
  enroll(request: EnrolmentRequest, remote: string): Promise<EnrolmentReply>;
}

export type EnrolmentRefusedCode =
  | 'token-unknown'
  /** Used before, by other keys than this request's. */
  | 'token-used'
  | 'token-expired'
  | 'token-revoked'
  /** It is for a node of another name, or that name is not in its group or enrolled already. */
  | 'token-not-for-this-node'
  /** The token is for a group: the request has to say which node comes. */
  | 'node-name-needed'
  | 'node-revoked'
  /** Another node has one of the keys, or a revoked node had it: only new keys help. */
  | 'key-refused'
  | 'csr-invalid'
  /** The token's node is not in the mesh any more. */
  | 'node-unknown';

/** Why a node was not enrolled. The message is sent to the node, for its operator: it must not tell of other nodes. */
export class EnrolmentRefused extends Error {
  override readonly name = 'EnrolmentRefused';
  readonly code: EnrolmentRefusedCode;

  constructor(code: EnrolmentRefusedCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

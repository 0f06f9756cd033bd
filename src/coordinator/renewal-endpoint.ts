import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import { renewalRequestSchema } from '../identity/renewal.ts';
import type { Logger } from '../log.ts';
import { admitRenewal } from './channel-admission.ts';
import type { ChannelHost, ShownNode } from './channel-host.ts';
import { remoteOf } from './channel-remote.ts';
import { failure, type HttpAnswer } from './http-answer.ts';
import type { PacedLog } from './paced-log.ts';
import { NODE_REVOKED, RenewalRefused, type RenewalRefusedCode } from './renewal-refused.ts';

const REFUSED_STATUS: Readonly<Record<RenewalRefusedCode, number>> = {
  'certificate-refused': 403,
  'node-revoked': 410,
  'csr-invalid': 400,
  'key-refused': 409,
  'too-many': 429,
};

export interface RenewalEndpointDeps {
  readonly host: Pick<
    ChannelHost,
    'nodeOfChannelKey' | 'revokedNodeOf' | 'adoptForgotten' | 'mayRenewExpired' | 'renew' | 'refused'
  >;
  readonly refusals: PacedLog;
  readonly logger: Logger;
  /** See {@link admitRenewal}. */
  readonly issuer: X509Certificate | undefined;
}

/** Who asks for a renewal is told by the client certificate alone, so it is known before the body is read. */
export function refusalOfRenewal(deps: RenewalEndpointDeps, request: IncomingMessage): HttpAnswer | undefined {
  const shown = nodeOf(deps, request);
  return shown.ok ? undefined : shown.answer;
}

/** Answers `POST /v1/renew`. */
export async function answerRenewal(
  deps: RenewalEndpointDeps,
  request: IncomingMessage,
  body: unknown,
): Promise<HttpAnswer> {
  // Again: the node may have been revoked while it was sending.
  const shown = nodeOf(deps, request);
  if (!shown.ok) return shown.answer;
  const parsed = renewalRequestSchema.safeParse(body);
  if (!parsed.success) {
    return failure(400, 'bad-request', `not a renewal request: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
  }
  const { host, logger, refusals } = deps;
  const { node, remote } = shown;
  try {
    return { status: 200, body: await host.renew(shown, parsed.data) };
  } catch (error) {
    if (error instanceof RenewalRefused) {
      refusals.note(`renewal ${node} ${error.code}`, { node, remote, code: error.code }, 'renewal refused');
      return failure(REFUSED_STATUS[error.code], error.code, error.message, error.retryAfterSeconds);
    }
    logger.error({ node, remote, err: error }, 'renewal failed');
    return failure(500, 'internal', 'the coordinator could not do it, see its log');
  }
}

type Shown = (ShownNode & { readonly ok: true }) | { readonly ok: false; readonly answer: HttpAnswer };

function nodeOf({ host, refusals, issuer }: RenewalEndpointDeps, request: IncomingMessage): Shown {
  const remote = remoteOf(request);
  if (!(request.socket instanceof TLSSocket)) {
    return { ok: false, answer: failure(401, 'certificate-refused', 'no client certificate') };
  }
  const admission = admitRenewal(request.socket, host, issuer);
  if (admission.ok) return { ok: true, node: admission.node, key: admission.certificate.key, remote };
  const { status, reason, node: revoked } = admission;
  refusals.note(`renewal ${revoked ?? status}`, { remote, reason, node: revoked }, 'renewal refused');
  host.refused({ action: 'certificate.renew', remote, ...admission });
  if (status === 410) return { ok: false, answer: failure(status, 'node-revoked', NODE_REVOKED) };
  const message = "this coordinator does not know the node's certificate, or it has expired too long ago";
  const answer = failure(REFUSED_STATUS['certificate-refused'], 'certificate-refused', message);
  return { ok: false, answer };
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import { enrolmentRequestSchema, type EnrolmentRequest } from '../identity/enrolment.ts';
import type { ChannelHost } from './channel-host.ts';
import type { ChannelLimits } from './channel-limits.ts';
import { EnrolmentRefused, type EnrolmentRefusedCode } from './enrol-refused.ts';
import { remoteOf } from './channel-remote.ts';
import { failure, type HttpAnswer } from './http-answer.ts';
import { answerRenewal, refusalOfRenewal, type RenewalEndpointDeps } from './renewal-endpoint.ts';

const REFUSED_STATUS: Readonly<Record<EnrolmentRefusedCode, number>> = {
  'token-unknown': 403,
  'token-used': 409,
  'token-expired': 403,
  'token-revoked': 403,
  'token-not-for-this-node': 403,
  'node-name-needed': 400,
  'node-revoked': 403,
  'key-refused': 409,
  'csr-invalid': 400,
  'node-unknown': 403,
};

export interface EnrolEndpointDeps extends RenewalEndpointDeps {
  readonly host: RenewalEndpointDeps['host'] & Pick<ChannelHost, 'enroll'>;
  readonly limits: ChannelLimits;
}

/** What a path does with a request. */
interface Work {
  readonly max: number;
  /** Requests whose body was read and that have no answer yet. */
  underWay: number;
  /** Who gets no further, told before a byte of the body is read. */
  readonly refusal: (request: IncomingMessage) => HttpAnswer | undefined;
  readonly answer: (body: unknown, request: IncomingMessage) => Promise<HttpAnswer>;
}

/** `POST /v1/enroll` and `/v1/renew`. Knows what is under way, so that a server that stops can wait for it. */
export class EnrolEndpoint {
  readonly #deps: EnrolEndpointDeps;
  readonly #work: ReadonlyMap<string, Work>;
  readonly #underWay = new Set<Promise<void>>();

  constructor(deps: EnrolEndpointDeps) {
    const { enrolmentsMax, renewalsMax } = deps.limits;
    this.#deps = deps;
    this.#work = new Map<string, Work>([
      [
        '/v1/enroll',
        {
          max: enrolmentsMax,
          underWay: 0,
          refusal: () => undefined,
          answer: (body, request) => this.#answerEnrolment(body, request),
        },
      ],
      [
        '/v1/renew',
        {
          max: renewalsMax,
          underWay: 0,
          refusal: (request) => refusalOfRenewal(deps, request),
          answer: (body, request) => answerRenewal(deps, request, body),
        },
      ],
    ]);
  }

  /** Answers any HTTP request of the port that is no upgrade. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    const handling = this.#answer(request)
      .then((answer) => send(response, answer))
      // The peer went away, or was too slow: there is no one to answer.
      .catch(() => void request.socket.destroy())
      .finally(() => this.#underWay.delete(handling));
    this.#underWay.add(handling);
  }

  /** Resolves when all that is under way now has been answered. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
  }

  async #answer(request: IncomingMessage): Promise<HttpAnswer> {
    const work = this.#work.get(request.url ?? '');
    if (work === undefined) return failure(404, 'not-found', 'nothing here');
    if (request.method !== 'POST') return failure(405, 'bad-request', 'use POST');
    const refusal = work.refusal(request);
    if (refusal !== undefined) return refusal;
    const { enrolmentBytesMax } = this.#deps.limits;
    const body = await readBody(request, enrolmentBytesMax);
    if (body === undefined) return failure(413, 'too-large', `more than ${enrolmentBytesMax} bytes`);
    return await this.#bounded(work, () => work.answer(parseJson(body), request));
  }

  /** Who is still sending does not count, or strangers with slow bodies would keep everybody out. */
  async #bounded(work: Work, answer: () => Promise<HttpAnswer>): Promise<HttpAnswer> {
    if (work.underWay >= work.max) return failure(503, 'busy', 'too many requests at once, try again in a minute');
    work.underWay += 1;
    try {
      return await answer();
    } finally {
      work.underWay -= 1;
    }
  }

  async #answerEnrolment(body: unknown, request: IncomingMessage): Promise<HttpAnswer> {
    const parsed = enrolmentRequestSchema.safeParse(body);
    if (parsed.success) return this.#enroll(parsed.data, remoteOf(request));
    return failure(400, 'bad-request', `not an enrolment request: ${parsed.error.issues[0]?.path.join('.') ?? ''}`);
  }

  async #enroll(request: EnrolmentRequest, remote: string): Promise<HttpAnswer> {
    const { host, logger, refusals } = this.#deps;
    try {
      return { status: 200, body: await host.enroll(request, remote) };
    } catch (error) {
      if (error instanceof EnrolmentRefused) {
        refusals.note(error.code, { remote, code: error.code }, 'enrolment refused');
        return failure(REFUSED_STATUS[error.code], error.code, error.message);
      }
      logger.error({ remote, err: error }, 'enrolment failed');
      return failure(500, 'internal', 'the coordinator could not do it, see its log');
    }
  }
}

/** Undefined when there is more than `bytesMax`; the rest is not read. The server's request timeout ends a slow one. */
async function readBody(request: IncomingMessage, bytesMax: number): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Undefined for what is not JSON, which no schema accepts. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One request per connection: what a peer has left to send is not read. */
function send(response: ServerResponse, { status, body }: HttpAnswer): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(JSON.stringify(body));
}

/** What an HTTP request of the TLS port is answered with; errors as `{ error: { code, message, retryAfterSeconds? } }`. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** `retryAfterSeconds`: asking sooner would come to the same. */
export function failure(status: number, code: string, message: string, retryAfterSeconds?: number): HttpAnswer {
  return { status, body: { error: { code, message, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) } } };
}

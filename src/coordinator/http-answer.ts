/** What an HTTP request of the TLS port is answered with; errors as `{ error: { code, message } }`. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: unknown;
}

export function failure(status: number, code: string, message: string): HttpAnswer {
  return { status, body: { error: { code, message } } };
}

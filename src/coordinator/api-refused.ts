/** Why a request of the operator's API is refused, and the HTTP status that says so. */
export const API_REFUSALS = {
  'bad-request': 400,
  'spec-refused': 400,
  'not-found': 404,
  'bad-method': 405,
  conflict: 409,
  'too-large': 413,
} as const;

export type ApiRefusedCode = keyof typeof API_REFUSALS;

/** Message and details go to the operator. */
export class ApiRefused extends Error {
  override readonly name = 'ApiRefused';
  readonly code: ApiRefusedCode;
  readonly details: readonly string[];

  constructor(code: ApiRefusedCode, message: string, options: ErrorOptions & { details?: readonly string[] } = {}) {
    super(message, options);
    this.code = code;
    this.details = options.details ?? [];
  }
}

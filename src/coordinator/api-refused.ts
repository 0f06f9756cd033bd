import { HttpRefusal, type HttpRefusalOptions } from '../http-service.ts';

/** Why a request of the operator's API is refused, and the HTTP status that says so. */
const API_REFUSALS = {
  'bad-request': 400,
  'spec-refused': 400,
  'mass-removal': 400,
  'signature-refused': 400,
  unauthorized: 401,
  forbidden: 403,
  'foreign-origin': 403,
  'not-found': 404,
  'bad-method': 405,
  conflict: 409,
  'bad-content-type': 415,
  'wrong-host': 421,
  'too-many-failures': 429,
  'not-written': 507,
} as const;

export type ApiRefusedCode = keyof typeof API_REFUSALS;

/** Message and details go to the operator. */
export class ApiRefused extends HttpRefusal {
  override readonly name = 'ApiRefused';

  constructor(code: ApiRefusedCode, message: string, options: HttpRefusalOptions = {}) {
    super(API_REFUSALS[code], code, message, options);
  }
}

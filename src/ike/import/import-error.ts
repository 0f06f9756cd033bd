/** Every way in which reading a configuration can fail. Callers match these, never text. */
export const IMPORT_ERROR_CODES = [
  /** A file is not there, is no regular file, or may not be read. */
  'cannot-read',
  /** A file is not UTF-8, or holds control characters. */
  'not-text',
  /** The text breaks the format's grammar; strongSwan would refuse the whole file as well. */
  'syntax',
  /** `also=` or a section reference that leads nowhere or in a circle. */
  'bad-reference',
  /** More than the limits allow: bytes, files, nesting, sections. */
  'too-much',
  /** The text is neither an ipsec.conf nor a swanctl.conf. */
  'not-recognised',
  /** A certificate or key file does not hold what it should. */
  'bad-credential',
] as const;
export type ImportErrorCode = (typeof IMPORT_ERROR_CODES)[number];

/** Where something stands; lines count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** The only error that this folder throws. `where` is a place in a file, or a file as a whole. */
export class ImportError extends Error {
  override readonly name = 'ImportError';
  readonly code: ImportErrorCode;
  readonly where: Place | string;
  /** The text without code and place. */
  readonly detail: string;

  constructor(code: ImportErrorCode, where: Place | string, detail: string, options?: ErrorOptions) {
    super(`[${code}] ${formatPlace(where)}: ${detail}`, options);
    this.code = code;
    this.where = where;
    this.detail = detail;
  }
}

/** Throws for a name that charon's VICI socket has no room for: 1 to 255 printable ASCII characters. */
export function checkName(name: string, place: Place): void {
  if (/^[\x20-\x7e]{1,255}$/.test(name)) return;
  throw new ImportError('syntax', place, 'a name must be 1 to 255 printable ASCII characters');
}

/** `/etc/ipsec.conf:12`, as compilers write it. */
export function formatPlace(where: Place | string): string {
  return typeof where === 'string' ? where : `${where.file}:${where.line}`;
}

/** Colours a text; the identity function where colour is unwanted. */
export type Paint = (text: string) => string;

export interface Style {
  readonly good: Paint;
  readonly warn: Paint;
  readonly bad: Paint;
  readonly dim: Paint;
  readonly bold: Paint;
}

const plain: Paint = (text) => text;
const sgr =
  (on: number, off: number): Paint =>
  (text) =>
    `\u001B[${on}m${text}\u001B[${off}m`;

/** Colour only on a terminal that has it; `NO_COLOR` (https://no-color.org) and `TERM=dumb` turn it off. */
export function styleFor(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): Style {
  const wanted = stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
  if (!wanted) return { good: plain, warn: plain, bad: plain, dim: plain, bold: plain };
  return { good: sgr(32, 39), warn: sgr(33, 39), bad: sgr(31, 39), dim: sgr(2, 22), bold: sgr(1, 22) };
}

/** Text from elsewhere made safe for a terminal: control characters, and with them escape sequences, become `?`. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}|[\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu, '?');
}

/** What becomes of a node's connections: a line each, added, changed and removed. */
export function changeLines(
  { added, changed, removed }: Readonly<Record<'added' | 'changed' | 'removed', readonly string[]>>,
  style: Style,
): string[] {
  return [
    ...added.map((name) => style.good(`    + ${printable(name)}`)),
    ...changed.map((name) => style.warn(`    ~ ${printable(name)}`)),
    ...removed.map((name) => style.bad(`    - ${printable(name)}`)),
  ];
}

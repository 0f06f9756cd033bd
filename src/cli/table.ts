import { printable, type Paint } from './style.ts';

/** One cell; `paint` colours it without counting into the column's width. */
export type Cell = string | { readonly text: string; readonly paint: Paint };

export interface Row {
  readonly cells: readonly Cell[];
  /** Lines to print below the row, indented. */
  readonly notes?: readonly Cell[];
}

const GAP = '  ';
const NOTE_INDENT = '    ';

const textOf = (cell: Cell): string => printable(typeof cell === 'string' ? cell : cell.text);
/** In code points: names and addresses have no wide characters. */
const widthOf = (text: string): number => Array.from(text).length;

function painted(cell: Cell, width: number): string {
  const text = textOf(cell);
  const padding = ' '.repeat(Math.max(0, width - widthOf(text)));
  return (typeof cell === 'string' ? text : cell.paint(text)) + padding;
}

/** Left-aligned columns two spaces apart, one line per row and note, ending in a newline; no trailing spaces. */
export function renderTable(headings: readonly string[], rows: readonly Row[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(widthOf(heading), ...rows.map((row) => widthOf(textOf(row.cells[column] ?? '')))),
  );
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => painted(cell, column === cells.length - 1 ? 0 : (widths[column] ?? 0)))
      .join(GAP)
      .trimEnd();
  const lines = rows.flatMap((row) => [
    line(row.cells),
    ...(row.notes ?? []).map((note) => NOTE_INDENT + painted(note, 0)),
  ]);
  return [line(headings), ...lines].map((text) => `${text}\n`).join('');
}

import type { Row } from './row.ts';

const HEAD = ['WORK / COMPARED WITH', 'OURS', 'OTHER', 'UNIT', 'RATIO', 'GOAL', 'RUNS', ''];

/** The rows for people, a line each. */
export function tableOf(rows: readonly Row[]): string {
  const lines = [HEAD, ...rows.map(cellsOf)];
  const widths = HEAD.map((_head, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const isFigure = (column: number): boolean => ['OURS', 'OTHER', 'RATIO', 'RUNS'].includes(HEAD[column] ?? '');
  const padded = (cell: string, column: number): string =>
    isFigure(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0);
  return lines.map((line) => `${line.map(padded).join('  ').trimEnd()}\n`).join('');
}

function cellsOf({ name, ours, other, unit, ratio, goal, runs, ok }: Row): string[] {
  return [
    name,
    figure(ours),
    other === null ? '' : figure(other),
    unit,
    ratio?.toFixed(2) ?? '',
    goal,
    String(runs),
    ok ? 'ok' : 'NOT REACHED',
  ];
}

/** Short where more digits would be noise. */
function figure(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(value < 100 ? 2 : 0);
}

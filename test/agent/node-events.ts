import type { NodeEvent } from '../../src/control/report.ts';

/** An event that is told apart by its number. */
export function numbered(number: number): NodeEvent {
  return { atMs: number, kind: 'step', connection: null, child: null, message: `event ${number}` };
}

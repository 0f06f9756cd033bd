import type { Clock } from '../clock.ts';
import type { AgentFrame } from '../control/frames.ts';
import type { NodeReport } from '../control/report.ts';
import { digestOf } from '../json.ts';

/** After a large report the next one waits: the coordinator takes its time with them, and reads a node no faster. */
const LARGE_REPORT_CHARACTERS = 50_000;
const LARGE_REPORT_CHARACTERS_PER_MS = 100;

/** A report without news is sent this often all the same, for the byte counts. */
const REPORT_EVERY_MS = 30_000;

/** JSON of a report that surely fits into a frame, which is MessagePack and smaller. */
const REPORT_CHARACTERS_MAX = 1_000_000;

const NONE_SENT = { digest: '', atMs: Number.NEGATIVE_INFINITY, characters: 0 };

export interface ReportSenderDeps {
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Sends on the control channel when it is open. */
  readonly send: (frame: AgentFrame) => boolean;
}

/** Sends the node's reports as far as they are news, and no faster than the coordinator reads them. */
export class ReportSender {
  readonly #deps: ReportSenderDeps;
  #last = NONE_SENT;

  constructor(deps: ReportSenderDeps) {
    this.#deps = deps;
  }

  /** The coordinator has none of them any more. */
  forget(): void {
    this.#last = NONE_SENT;
  }

  /** Sends a report when it says something new, or when the last one is old. */
  send(report: NodeReport): void {
    const digest = digestOf(withoutCounters(report));
    const nowMs = this.#deps.clock.monotonicMs();
    const last = this.#last;
    const isLarge = last.characters > LARGE_REPORT_CHARACTERS;
    const restMs =
      digest === last.digest ? REPORT_EVERY_MS : isLarge ? last.characters / LARGE_REPORT_CHARACTERS_PER_MS : 0;
    if (nowMs - last.atMs < restMs) return;
    const characters = JSON.stringify(report).length;
    const sent = this.#deps.send({ type: 'report', report: fitted(report, characters) });
    if (sent) this.#last = { digest, atMs: nowMs, characters };
  }
}

/** A report that is too large for a frame goes without its CHILD SAs, and says so: paths and registrations matter more. */
function fitted(report: NodeReport, characters: number): NodeReport {
  if (characters <= REPORT_CHARACTERS_MAX) return report;
  const connections = report.connections.map((connection) => ({
    ...connection,
    ikeSas: connection.ikeSas.map((ikeSa) => ({ ...ikeSa, childSas: [] })),
  }));
  const problem = report.charon.problem ?? 'too many CHILD SAs for one report: they are left out';
  return { ...report, charon: { ...report.charon, problem }, connections };
}

/** The report without what changes by itself: two that are equal so have no news. */
function withoutCounters(report: NodeReport): unknown {
  const connections = report.connections.map((connection) => ({
    ...connection,
    ikeSas: connection.ikeSas.map((ikeSa) => ({
      ...ikeSa,
      establishedSeconds: null,
      rekeyInSeconds: null,
      childSas: ikeSa.childSas.map(({ name, uniqueId, state, spiIn, spiOut, localTs, remoteTs }) => ({
        name,
        uniqueId,
        state,
        spiIn,
        spiOut,
        localTs,
        remoteTs,
      })),
    })),
  }));
  const links = report.links.map(({ direct, relay, ...link }) => ({
    ...link,
    direct: direct?.health ?? null,
    relay: relay?.health ?? null,
  }));
  return { ...report, links, atMs: 0, charon: { ...report.charon, idleWorkers: null, sinceMs: null }, connections };
}

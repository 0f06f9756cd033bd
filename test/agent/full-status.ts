import { agentStatus } from '../../src/agent/status.ts';
import type { AgentStatus } from '../../src/agent/api.ts';
import { connectionReports, linkReports, type ReportInput } from '../../src/agent/report.ts';
import { childSa, desired, ikeSa, mediatedPeer, medsrv, names, spoke } from '../reconcile/builders.ts';

export const STATUS_AT_MS = 1_700_000_600_000;
const DAY_MS = 86_400_000;

/** A status with something in every field: medsrv up, the hub tunnel up with its CHILD SA, a direct path that fails, a relay that is probed. */
export function fullStatus(): AgentStatus {
  const traffic = { bytesIn: 1_234_567, packetsIn: 1200, bytesOut: 999, packetsOut: 9 };
  const input: ReportInput = {
    desired: desired(medsrv(), spoke(), mediatedPeer()),
    ikeSas: [
      ikeSa(names.medsrv, { uniqueId: 1, establishedSeconds: 550 }),
      ikeSa(names.hub, { uniqueId: 2, initiator: false, childSas: [childSa('edge1--remote', traffic)] }),
      ikeSa(names.peer, {
        uniqueId: 3,
        state: 'CREATED',
        nat: false,
        establishedSeconds: undefined,
        rekeyInSeconds: undefined,
      }),
    ],
    refusals: new Map(),
    takesDirect: () => undefined,
    directPaths: new Map([['edge1--remote', { phase: 'trying' as const, failures: 2, lost: false, sinceMs: 0 }]]),
    evidenceOf: () => undefined,
    causeOf: () => 'symmetric-nat',
    reading: (_link, path) =>
      path === 'relay'
        ? { health: 'alive', sas: '2', silentMs: 0, answeredAtMs: 0, isOutdone: false, rttMs: 24.04, loss: 0.05 }
        : undefined,
  };
  return agentStatus({
    report: {
      agentVersion: '1.2.3',
      atMs: STATUS_AT_MS,
      charon: { connected: true, version: '5.9.8', sinceMs: STATUS_AT_MS - 600_000, idleWorkers: 11, problem: null },
      generation: 4,
      nat: 'symmetric',
      connections: connectionReports(input),
      links: linkReports(input).map((link) => ({ ...link, sinceMs: STATUS_AT_MS - 30_000 })),
    },
    generations: { generation: 4, applied: 4 },
    hostProblems: [],
    node: 'edge1',
    mesh: 'mesh.example',
    certificates: [
      {
        purpose: 'channel',
        notAfterMs: STATUS_AT_MS + 6 * DAY_MS,
        renewalAtMs: STATUS_AT_MS + 3 * DAY_MS,
        problem: null,
      },
      { purpose: 'ike', notAfterMs: STATUS_AT_MS + 20 * DAY_MS, renewalAtMs: STATUS_AT_MS + 5 * DAY_MS, problem: null },
    ],
    channel: { url: 'https://203.0.113.1:8443', state: 'connected', sinceMs: STATUS_AT_MS - 120_000, problem: null },
  });
}

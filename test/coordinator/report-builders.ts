import type { ConnectionReport, IkeSaReport, NodeReport } from '../../src/control/report.ts';

/** A report in which nothing is wrong and nothing is there. */
export function reportOf(parts: Partial<NodeReport> = {}): NodeReport {
  return {
    agentVersion: '1.2.3',
    atMs: 0,
    charon: { connected: true, version: '5.9.8', sinceMs: 0, idleWorkers: 11, problem: null },
    generation: null,
    nat: 'unknown',
    connections: [],
    links: [],
    ...parts,
  };
}

/** An edge's report: its registration is up or not, and what came of its tries for a link. */
export function edgeReport(isUp: boolean, failures: Readonly<Record<string, number>> = {}): NodeReport {
  return reportOf({
    connections: [connection('cygnet-medsrv-master1', isUp ? 'up' : 'connecting')],
    links: Object.entries(failures).map(([id, directFailures]) => ({
      id,
      peer: 'other',
      path: 'relay' as const,
      sinceMs: 5,
      problem: 'symmetric NAT',
      cause: 'symmetric-nat',
      direct: null,
      relay: null,
      directFailures,
    })),
  });
}

/** A mediator's report: these nodes are registered. */
export function mediatorReport(...nodes: readonly string[]): NodeReport {
  const ikeSas = nodes.map((node) => ikeSa(`C=CN, O=Local Cluster, CN=${node}`));
  return reportOf({ connections: [{ ...connection('cygnet-mediation', 'up'), ikeSas }] });
}

function connection(name: string, status: ConnectionReport['status']): ConnectionReport {
  return { name, kind: 'mediation-client', peer: 'master1', status, problem: null, ikeSas: [] };
}

function ikeSa(remoteId: string): IkeSaReport {
  return {
    uniqueId: 1,
    state: 'ESTABLISHED',
    initiator: false,
    localHost: '203.0.113.10',
    localPort: 4500,
    remoteHost: '203.0.113.21',
    remotePort: 4500,
    localId: 'C=CN, O=Local Cluster, CN=master1',
    remoteId,
    establishedSeconds: 1,
    rekeyInSeconds: null,
    nat: true,
    childSas: [],
  };
}

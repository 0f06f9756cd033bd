import { describe, expect, it } from 'vitest';
import type { AgentStatus } from '../../src/agent/api.ts';
import { renderStatus } from '../../src/cli/agentctl-status.ts';
import { styleFor } from '../../src/cli/style.ts';
import { fullStatus, STATUS_AT_MS } from '../agent/full-status.ts';

const plain = styleFor({}, {});
const colour = styleFor({ isTTY: true }, {});

/** The full status with a problem that is short. */
function statusOf(change: Partial<AgentStatus> = {}): AgentStatus {
  const status = fullStatus();
  const links = status.links.map((link) => ({ ...link, problem: 'hole punching fails' }));
  return { ...status, links, problems: ['remote: hole punching fails'], ...change };
}

const lineOf = (label: string, change: Partial<AgentStatus>): string =>
  renderStatus(statusOf(change), plain)
    .split('\n')
    .find((line) => line.startsWith(`${label}:`)) ?? '';

describe('the status', () => {
  it('reads so', () =>
    expect(renderStatus(statusOf(), plain)).toBe(`\
node:          edge1 in mesh mesh.example, agent 1.2.3
coordinator:   connected to https://203.0.113.1:8443 for 2 min
certificates:  channel for 6 days, IKE for 20 days
charon:        connected, strongSwan 5.9.8, up 10 min, 11 idle workers
desired state: generation 4, applied

LINK TO  PATH   FOR   DIRECT  RELAY
remote   relay  30 s  -       24.0 ms, 5 % lost  hole punching fails

cygnet-medsrv-master1 (mediation-client): up
  IKE SA [1] ESTABLISHED 9 min ago, initiator, through NAT, rekeying in 50 min
    192.168.1.2:4500 [O=mesh, CN=edge1] ... 203.0.113.10:4500 [O=mesh, CN=master1]
cygnet-hub-master1 (spoke): up
  IKE SA [2] ESTABLISHED 5 s ago, responder, through NAT, rekeying in 50 min
    192.168.1.2:4500 [O=mesh, CN=edge1] ... 203.0.113.10:4500 [O=mesh, CN=master1]
    CHILD SA edge1--remote {1} INSTALLED 5 s ago, SPIs c1000001_i c2000001_o
      7.7.7.0/24 === 7.7.8.0/24, in 1.2 MB (1200), out 999 B (9)
cygnet-peer-remote (mediated-peer): connecting
  IKE SA [3] CREATED, initiator
    192.168.1.2:4500 [O=mesh, CN=edge1] ... 203.0.113.10:4500 [O=mesh, CN=master1]

what is wrong:
  - remote: hole punching fails
`));

  it('of a node on which nothing is set up yet is short', () =>
    expect(
      renderStatus(
        statusOf({
          node: null,
          mesh: null,
          certificates: [],
          coordinator: { url: null, state: 'not-enrolled', sinceMs: 0, problem: null },
          charon: { connected: false, version: null, sinceMs: null, idleWorkers: null, problem: 'charon does not run' },
          desired: { generation: null, applied: null },
          connections: [],
          links: [],
          problems: [],
        }),
        plain,
      ),
    ).toBe(`\
node:          not enrolled, agent 1.2.3
coordinator:   none: run agentctl enroll
charon:        charon does not run
desired state: none yet

nothing is wrong
`));

  it('says that tunnels stay when the coordinator is away, and why it is', () =>
    expect(
      lineOf('coordinator', {
        coordinator: { url: 'https://c', state: 'waiting', sinceMs: STATUS_AT_MS - 3_600_000, problem: 'ECONNREFUSED' },
      }),
    ).toBe('coordinator:   not connected to https://c for 1 h 0 min: ECONNREFUSED; tunnels stay as they are'));

  it('says when charon does not have it all', () =>
    expect(lineOf('desired state', { desired: { generation: 4, applied: null } })).toBe(
      'desired state: generation 4, not applied in whole',
    ));

  it('has colour on a terminal, and says the same', () => {
    const coloured = renderStatus(statusOf(), colour);
    expect(coloured).toContain('\u001B[32mconnected\u001B[39m');
    expect(coloured).toContain('\u001B[33mrelay\u001B[39m');
    // eslint-disable-next-line no-control-regex
    expect(coloured.replaceAll(/\u001B\[\d+m/g, '')).toBe(renderStatus(statusOf(), plain));
  });

  it('lets nothing from elsewhere move the cursor', () => {
    const hostile = '\u001B[2J\u0007\r\u009B';
    const poisoned = JSON.parse(
      JSON.stringify(fullStatus(), (_key, value: unknown) => (typeof value === 'string' ? value + hostile : value)),
    ) as AgentStatus;
    const enums = fullStatus();
    const status: AgentStatus = {
      ...poisoned,
      coordinator: { ...poisoned.coordinator, state: 'waiting' },
      links: poisoned.links.map((link) => ({ ...link, path: 'relay' })),
      connections: poisoned.connections.map((connection, index) => ({
        ...connection,
        status: enums.connections[index]?.status ?? 'up',
      })),
    };
    // eslint-disable-next-line no-control-regex
    expect(renderStatus(status, plain)).not.toMatch(/[\u0000-\u0009\u000B-\u001F\u007F-\u009F]/);
    expect(renderStatus(status, plain)).toContain('edge1?[2J???');
  });
});

import type { NetCheck, NetCheckTarget } from '../../../src/agent/netcheck/net-check.ts';

export const CHECKED_AT_MS = 1_700_000_600_000;

/** The mediator and hub of the seed, as edge1 sees it when all is well. */
export function checkedTarget(change: Partial<NetCheckTarget> = {}): NetCheckTarget {
  const endpoint = { address: '203.0.113.21', port: 40_000 };
  return {
    node: 'master1',
    host: '203.0.113.10',
    address: '203.0.113.10',
    local: { address: '192.168.1.2', port: 40_000 },
    reflexive: [7445, 7446].map((reflectorPort) => ({ reflectorPort, endpoint })),
    ike500: true,
    ike4500: true,
    mtu: 1500,
    ...change,
  };
}

/** What a node behind a NAT that keeps its mapping finds. */
export function coneCheck(change: Partial<NetCheck> = {}): NetCheck {
  return { atMs: CHECKED_AT_MS, natKind: 'cone', targets: [checkedTarget()], ...change };
}

/** Nobody answers. */
export function blockedCheck(): NetCheck {
  const reflexive = [7445, 7446].map((reflectorPort) => ({ reflectorPort, endpoint: null }));
  return coneCheck({
    natKind: 'blocked',
    targets: [checkedTarget({ reflexive, ike500: false, ike4500: false, mtu: null })],
  });
}

import type { NatKind } from './topology.ts';

/**
 * What makes a router a NAT of its kind, for nft. `udpPeers` are the only addresses with which a `udp-blocked` one lets
 * its nodes speak UDP.
 *
 * The input drop matters. Without it an unsolicited packet that arrives before the node's own first packet leaves a
 * conntrack entry on the router, the node's packet then gets another source port, and hole punching fails.
 */
export function natRules(kind: Exclude<NatKind, 'none'>, udpPeers: readonly string[]): string {
  const masquerade = kind === 'symmetric' ? 'masquerade fully-random' : 'masquerade';
  const peers = `{ ${udpPeers.join(', ')} }`;
  const blocked = kind === 'udp-blocked' ? `meta l4proto udp ip saddr != ${peers} ip daddr != ${peers} drop` : '';
  return `table ip nat {
    chain outbound { type nat hook postrouting priority 100; oifname "eth0" ${masquerade}; }
    chain to_router { type filter hook input priority 0; policy accept; iifname "eth0" drop; }
    chain through {
      type filter hook forward priority 0; policy drop;
      ${blocked}
      iifname "in0" accept
      ct state established,related accept
    }
  }`;
}

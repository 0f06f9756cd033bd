import type { NatKind, NetCheck, NetCheckTarget } from '../agent/api.ts';

/** What an Ethernet carries; a way with less needs attention. */
const FULL_MTU = 1500;
/** What UDP encapsulation, ESP and an inner header's padding take of a packet, rounded up. */
const ESP_BYTES = 80;

const NAT_MEANING: Readonly<Record<NatKind, string>> = {
  none: 'no NAT: peers can reach this node at its own address; firewalls must let UDP 500 and 4500 in',
  cone: 'the NAT shows every destination the same endpoint: hole punching works, unless the NAT of the peer is symmetric',
  symmetric:
    'the NAT takes another port for each destination: hole punching works only towards peers without NAT, all other traffic stays on the hub; make the router keep source ports ("static port", "endpoint-independent mapping"), or forward UDP 500 and 4500 to this node',
  blocked:
    'nothing answers over UDP: neither the hub nor a direct path can work; let UDP 500 and 4500 out to the addresses above, and see whether those machines are up',
  unknown:
    'too few answers to tell the kind of NAT: let the UDP ports of reflectorPorts (agent.yaml, 7445 and 7446 unless set) through to at least one mediator or hub, and see that its agent runs',
};

/** What the findings mean for hole punching and what to do, most important first. Pure. */
export function netCheckAdvice({ natKind, targets }: NetCheck): readonly string[] {
  const ofTargets = natKind === 'blocked' ? targets.filter(({ local }) => local === null) : targets;
  return [NAT_MEANING[natKind], ...ofTargets.flatMap((target) => targetAdvice(target, natKind))];
}

function targetAdvice(target: NetCheckTarget, natKind: NatKind): readonly string[] {
  return [ikeAdvice(target, natKind), mtuAdvice(target)].filter((line) => line !== undefined);
}

function ikeAdvice(
  { node, host, address, local, ike500, ike4500 }: NetCheckTarget,
  natKind: NatKind,
): string | undefined {
  if (address === null) return `${node}: the name ${host} cannot be resolved; see the DNS settings of this node`;
  if (local === null) return `${node}: there is no route to ${address}`;
  if (!ike500 && !ike4500) {
    return `${node}: no IKE daemon answers at ${address}; let UDP 500 and 4500 through, and see whether strongSwan runs there`;
  }
  if (!ike500) return `${node}: UDP 500 does not get through, where every IKE SA begins; let it out to ${address}`;
  if (ike4500) return undefined;
  return natKind === 'none'
    ? `${node}: UDP 4500 does not get through; without a NAT that is no harm, but let it out to ${address} all the same`
    : `${node}: UDP 4500 does not get through, where IKE and ESP go behind a NAT; let it out to ${address}`;
}

function mtuAdvice({ node, mtu, reflexive }: NetCheckTarget): string | undefined {
  if (mtu === null) {
    const answered = reflexive.some(({ endpoint }) => endpoint !== null);
    return answered
      ? `${node}: packets of 1280 bytes do not get through; large IKE messages and ESP packets will be lost: see the MTU of the uplink`
      : undefined;
  }
  if (mtu >= FULL_MTU) return undefined;
  return `${node}: packets over ${mtu} bytes do not get through whole (of the sizes tried); clamp the TCP MSS to ${mtu - ESP_BYTES - 40}, or set the MTU behind the tunnel to ${mtu - ESP_BYTES}, if large transfers stall`;
}

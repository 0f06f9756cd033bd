import { z } from 'zod';
import { NAT_KINDS, type NatKind } from '../../paths/path-cause.ts';

/** What a node found out about the network between itself and its mediators and hubs. */

const endpointSchema = z.object({ address: z.string(), port: z.number().int().min(0).max(65_535) });

const targetSchema = z.object({
  node: z.string().describe('name of the mediator or hub'),
  host: z.string().describe('as the desired state has it: an address or a host name'),
  address: z.string().nullable().describe('null when the host name cannot be resolved'),
  local: endpointSchema.nullable().describe('what the checks are sent from; null without a route'),
  reflexive: z
    .array(z.object({ reflectorPort: z.number().int(), endpoint: endpointSchema.nullable() }))
    .describe('how each reflector of the target sees this node; null when it does not answer'),
  ike500: z.boolean().describe('an IKE daemon answers on UDP port 500'),
  ike4500: z.boolean().describe('an IKE daemon answers on UDP port 4500'),
  mtu: z
    .number()
    .int()
    .nullable()
    .describe('bytes of the largest IP packet that was answered, of those that were tried; null when none was'),
});
export type NetCheckTarget = Readonly<z.output<typeof targetSchema>>;

export const netCheckSchema = z
  .object({
    atMs: z.number().int().min(0).describe('when it began: ms since the epoch'),
    natKind: z.enum(NAT_KINDS),
    targets: z.array(targetSchema),
  })
  .meta({ id: 'agent-netcheck', title: 'agentctl netcheck --json' });
export type NetCheck = Readonly<z.output<typeof netCheckSchema>>;

/** Why no direct path, or none at all, can come up from this node, as far as its own network is the reason. */
type NetworkCause = 'symmetric-nat' | 'udp-blocked';

/** Undefined when the network at this end is no reason. */
export function networkCauseOf({ natKind, targets }: NetCheck): NetworkCause | undefined {
  if (!targets.some((target) => canCarryIke(target, natKind))) return 'udp-blocked';
  return natKind === 'symmetric' ? 'symmetric-nat' : undefined;
}

/** charon begins on port 500, and goes on on port 4500 as soon as there is a NAT. */
export function canCarryIke({ ike500, ike4500 }: NetCheckTarget, natKind: NatKind): boolean {
  return ike500 && (ike4500 || natKind === 'none');
}

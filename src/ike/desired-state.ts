import { z } from 'zod';
import {
  childNameSchema,
  childrenOf,
  connectionNameSchema,
  connectionSchema,
  linkIdSchema,
  nodeNameSchema,
  SELECTORS_MAX,
} from './connection.ts';
import { addressSchema, cidrSchema } from './traffic-selector.ts';

/** Where a link's CHILD SA is configured. */
const childRefSchema = z.strictObject({ connection: connectionNameSchema, child: childNameSchema });
export type ChildRef = Readonly<z.output<typeof childRefSchema>>;

/** A node's two addresses inside the mesh. */
const meshAddressPairSchema = z.strictObject({
  /** In the selectors of all the node's tunnels: traffic to it takes whichever path is in use. */
  mesh: addressSchema,
  /** In the selectors of the relay only. */
  relay: addressSchema,
});
export type MeshAddressPair = Readonly<z.output<typeof meshAddressPairSchema>>;

/** Mediators or hubs that one link can use. */
export const WAYS_MAX = 8;

/** One link as this node sees it. */
const linkSchema = z.strictObject({
  id: linkIdSchema,
  peer: nodeNameSchema,
  localSubnets: z.array(cidrSchema).max(SELECTORS_MAX),
  remoteSubnets: z.array(cidrSchema).max(SELECTORS_MAX),
  /** Absent in a mesh without mesh addresses. */
  peerAddresses: meshAddressPairSchema.exactOptional(),
  /** The tunnel straight to the peer: mediated, one for each mediator, or the hub tunnel when the peer is the hub itself. */
  direct: z.array(childRefSchema).max(WAYS_MAX),
  /** The tunnel through a hub, one for each hub; the first that is up carries the traffic. */
  relay: z.array(childRefSchema).max(WAYS_MAX),
});
export type DesiredLink = Readonly<z.output<typeof linkSchema>>;

/** One node's part of the mesh, compiled by the coordinator; what the agent reconciles charon to. */
export const desiredStateSchema = z
  .strictObject({
    version: z.literal(1),
    mesh: z.string().min(1).max(63),
    node: nodeNameSchema,
    /** The node's own; absent in a mesh without mesh addresses. */
    addresses: meshAddressPairSchema.exactOptional(),
    connections: z.array(connectionSchema).max(4096),
    links: z.array(linkSchema).max(4096),
  })
  .superRefine((state, context) => {
    const known = new Set<string>();
    for (const connection of state.connections) {
      for (const key of [
        connection.name,
        ...childrenOf(connection).map((child) => `${connection.name}/${child.name}`),
      ]) {
        if (known.has(key)) context.addIssue({ code: 'custom', message: `duplicate name: ${key}` });
        known.add(key);
      }
    }
    const mediators = new Set(
      state.connections.filter(({ kind }) => kind === 'mediation-client').map(({ name }) => name),
    );
    for (const connection of state.connections) {
      if (connection.kind === 'mediated-peer' && !mediators.has(connection.mediatedBy)) {
        context.addIssue({
          code: 'custom',
          message: `${connection.name}: unknown mediation connection ${connection.mediatedBy}`,
        });
      }
    }
    const links = new Set<string>();
    for (const link of state.links) {
      if (links.has(link.id)) context.addIssue({ code: 'custom', message: `duplicate link: ${link.id}` });
      links.add(link.id);
      for (const ref of [...link.direct, ...link.relay]) {
        if (!known.has(`${ref.connection}/${ref.child}`)) {
          context.addIssue({ code: 'custom', message: `${link.id}: unknown child ${ref.connection}/${ref.child}` });
        }
      }
    }
  });
export type DesiredState = Readonly<z.output<typeof desiredStateSchema>>;

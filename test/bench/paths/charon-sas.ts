import { ViciSession, type ViciIkeSa } from '../../../src/vici/index.ts';
import type { Lab } from '../../lab/lab.ts';
import type { NodeName } from '../../lab/topology.ts';

const LIST_MS_MAX = 30_000;

/** Of the node's charon, without a word of the product's. */
export async function ikeSasOf(lab: Pick<Lab, 'viciSocketOf'>, node: NodeName): Promise<readonly ViciIkeSa[]> {
  await using session = await ViciSession.connect({ socketPath: lab.viciSocketOf(node), timeoutMs: LIST_MS_MAX });
  const ikeSas: ViciIkeSa[] = [];
  for await (const ikeSa of session.stream('list-sas', {}, { timeoutMs: LIST_MS_MAX })) ikeSas.push(ikeSa);
  return ikeSas;
}

/**
 * IKE SAs beyond one for each pair of identities, and CHILD SAs beyond one for each link, whatever the connections are named
 * that charon files them under.
 */
export function duplicatesIn(ikeSas: readonly ViciIkeSa[]): number {
  const established = ikeSas.filter(({ state }) => state === 'ESTABLISHED');
  const children = established.flatMap((ikeSa) =>
    [...ikeSa['child-sas'].values()]
      .filter(({ state }) => state === 'INSTALLED')
      .map(({ name }) => `${identitiesOf(ikeSa)} ${name}`),
  );
  return surplusIn(established.map(identitiesOf)) + surplusIn(children);
}

/** The unique ids of those that wait for a mediation. */
export function createdIn(ikeSas: readonly ViciIkeSa[]): ReadonlySet<string> {
  return new Set(ikeSas.filter(({ state }) => state === 'CREATED').map(({ uniqueid }) => String(uniqueid)));
}

/** A node may register at a mediator under either of its own. */
function identitiesOf(ikeSa: ViciIkeSa): string {
  return `${ikeSa['local-id']} ${ikeSa['remote-id']}`;
}

function surplusIn(texts: readonly string[]): number {
  return texts.length - new Set(texts).size;
}

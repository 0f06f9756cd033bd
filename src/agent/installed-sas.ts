import type { ChildRef } from '../ike/desired-state.ts';
import type { IkeSa } from '../ike/sa.ts';

/** The IKE SAs of a connection. */
export type SasOf = (connection: string) => readonly IkeSa[];

/** States of a CHILD SA that carries traffic; while one is rekeyed the old one still does. */
const CARRYING: readonly string[] = ['INSTALLED', 'REKEYING', 'REKEYED'];

/** For many look-ups among the same IKE SAs. */
export function indexSas(ikeSas: readonly IkeSa[]): SasOf {
  const byName = new Map<string, IkeSa[]>();
  for (const ikeSa of ikeSas) {
    const known = byName.get(ikeSa.name);
    if (known === undefined) byName.set(ikeSa.name, [ikeSa]);
    else known.push(ikeSa);
  }
  return (connection) => byName.get(connection) ?? [];
}

/** IKE SAs with a CHILD SA of one of these configurations that carries traffic. One that is being deleted is none any more. */
export function installedIn(refs: readonly ChildRef[], sasOf: SasOf): readonly IkeSa[] {
  return refs.flatMap(({ connection, child }) =>
    sasOf(connection).filter(
      (ikeSa) =>
        ikeSa.state !== 'DELETING' &&
        ikeSa.childSas.some(({ name, state }) => name === child && CARRYING.includes(state)),
    ),
  );
}

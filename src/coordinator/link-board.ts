import type { LinkHint } from '../control/frames.ts';
import type { LinkId, NodeName } from '../ike/connection.ts';
import {
  firstLinkState,
  hintFor,
  makeSameHints,
  nextLinkState,
  type FactsOf,
  type LinkState,
  type MediatedLink,
} from './link-hints.ts';

/** Keeps the hints of all mediated links up to date, looking only at the links that a change can touch. */
export class LinkBoard {
  readonly #facts: FactsOf;
  readonly #states = new Map<LinkId, LinkState>();
  #links: readonly MediatedLink[] = [];
  #linksOfNode: ReadonlyMap<NodeName, readonly MediatedLink[]> = new Map();
  #linksOfMediator: ReadonlyMap<NodeName, readonly MediatedLink[]> = new Map();

  constructor(facts: FactsOf) {
    this.#facts = facts;
  }

  /** These are the mediated links from now on. Whose turn it is stays as it was on a link that stays. */
  use(links: readonly MediatedLink[]): void {
    const known = new Set(links.map(({ id }) => id));
    for (const id of this.#states.keys()) if (!known.has(id)) this.#states.delete(id);
    this.#links = links;
    this.#linksOfNode = grouped(links, ({ ends }) => ends.map(({ node }) => node));
    this.#linksOfMediator = grouped(links, ({ mediators }) => mediators);
    for (const link of this.#links) this.#look(link);
  }

  /** Looks again after a change of what is known of a node; returns the nodes that need new hints. */
  changed(node: NodeName): ReadonlySet<NodeName> {
    const touched = [...(this.#linksOfNode.get(node) ?? []), ...(this.#linksOfMediator.get(node) ?? [])];
    const changed = touched.filter((link) => this.#look(link));
    return new Set(changed.flatMap(({ ends }) => ends.map((end) => end.node)));
  }

  hintsFor(node: NodeName): readonly LinkHint[] {
    const links = this.#linksOfNode.get(node) ?? [];
    return links.map((link) => hintFor(node, link, this.#stateOf(link)));
  }

  /** What the operator is told of a link; undefined for one without a mediated path. */
  view(id: LinkId): { readonly registered: boolean; readonly initiator: NodeName } | undefined {
    const state = this.#states.get(id);
    return state && { registered: state.mediator !== undefined, initiator: state.election.initiator };
  }

  #stateOf(link: MediatedLink): LinkState {
    return this.#states.get(link.id) ?? firstLinkState(link);
  }

  /** True when the link's hints are not what they were. */
  #look(link: MediatedLink): boolean {
    const before = this.#stateOf(link);
    const now = nextLinkState(link, before, this.#facts);
    this.#states.set(link.id, now);
    return !makeSameHints(now, before);
  }
}

function grouped(
  links: readonly MediatedLink[],
  keysOf: (link: MediatedLink) => readonly NodeName[],
): ReadonlyMap<NodeName, readonly MediatedLink[]> {
  const groups = new Map<NodeName, MediatedLink[]>();
  for (const link of links) {
    for (const key of keysOf(link)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [link]);
      else group.push(link);
    }
  }
  return groups;
}

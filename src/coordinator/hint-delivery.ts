import type { NodeName } from '../ike/connection.ts';
import { HintPace } from './hint-pace.ts';
import { LinkBoard } from './link-board.ts';
import type { MediatedLink } from './link-hints.ts';
import type { NodeRegistry } from './node-registry.ts';
import type { SpecInForce } from './spec-in-force.ts';

export interface HintDeliveryDeps {
  readonly registry: Pick<NodeRegistry, 'factsOf' | 'sendHints' | 'online'>;
  readonly spec: Pick<SpecInForce, 'versionOf'>;
}

/** Brings each node that is here the hints for its mediated links, when they are not what they were. */
export class HintDelivery {
  readonly #deps: HintDeliveryDeps;
  readonly #board: LinkBoard;
  readonly #pace: HintPace;

  constructor(deps: HintDeliveryDeps) {
    const { registry } = deps;
    this.#deps = deps;
    this.#board = new LinkBoard((node) => registry.factsOf(node));
    this.#pace = new HintPace((node) => registry.sendHints(node, this.#board.hintsFor(node)));
  }

  /** Answers a hello. */
  greet(node: NodeName): void {
    this.#refresh([node, ...this.#board.changed(node)]);
  }

  /** Something else is known of a node than before, or it has gone. */
  changed(node: NodeName): void {
    this.#refresh(this.#board.changed(node));
  }

  /** These are the mediated links from now on. */
  use(links: readonly MediatedLink[]): void {
    this.#board.use(links);
    this.#refresh(this.#deps.registry.online);
  }

  /** See {@link LinkBoard.view}. */
  view(id: MediatedLink['id']): ReturnType<LinkBoard['view']> {
    return this.#board.view(id);
  }

  #refresh(nodes: Iterable<NodeName>): void {
    for (const node of nodes) {
      if (this.#deps.spec.versionOf(node) !== undefined) this.#pace.changed(node);
    }
  }
}

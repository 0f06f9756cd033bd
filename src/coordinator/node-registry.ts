import { CLOSE_CODES, type CoordinatorFrame, type LinkHint } from '../control/frames.ts';
import type { NodeReport } from '../control/report.ts';
import type { NodeName } from '../ike/connection.ts';
import { canonicalJson } from '../json.ts';
import type { NodeChannel } from './channel-host.ts';
import { factsOf, type NodeFacts } from './link-hints.ts';
import type { ApplyReport, NodeStatus } from './observation-store.ts';

/** Which state a node has, as far as its channel tells. */
export interface ToldState {
  /** Null when that is not known. */
  readonly digest: string | null;
  /** It was sent in whole: to ask for it again would change nothing. */
  readonly isWhole: boolean;
}

const NOT_TOLD: ToldState = { digest: null, isWhole: false };

/** An open channel and what has passed on it. */
interface Presence {
  readonly channel: NodeChannel;
  facts?: NodeFacts;
  /** The hints that the node has, as text. */
  hints?: string;
  told: ToldState;
}

/** Which nodes are here, and what each told last. In memory; `takeUnwritten` says what the store has not got yet. */
export class NodeRegistry {
  readonly #present = new Map<NodeName, Presence>();
  readonly #statuses: Map<NodeName, NodeStatus>;
  #unwritten = new Set<NodeName>();

  constructor(statuses: ReadonlyMap<NodeName, NodeStatus>) {
    this.#statuses = new Map(statuses);
  }

  /** Makes this the node's channel; an older one is closed. */
  open(channel: NodeChannel, nowMs: number): void {
    this.drop(channel.node, CLOSE_CODES.replaced, 'a newer channel of this node was opened');
    this.#present.set(channel.node, { channel, told: NOT_TOLD });
    this.#update(channel.node, { lastSeenMs: nowMs });
  }

  /** Closes the node's channel if there is one, and forgets it at once. */
  drop(node: NodeName, code: number, reason: string): void {
    const presence = this.#present.get(node);
    this.#present.delete(node);
    presence?.channel.close(code, reason);
  }

  /** The node's record is gone: what it told goes with it. */
  forget(node: NodeName): void {
    this.#statuses.delete(node);
    this.#unwritten.delete(node);
  }

  /** False when the channel had been replaced or dropped already. */
  closed(channel: NodeChannel, nowMs: number): boolean {
    if (!this.isCurrent(channel)) return false;
    this.#present.delete(channel.node);
    this.#update(channel.node, { lastSeenMs: nowMs });
    return true;
  }

  isCurrent(channel: NodeChannel): boolean {
    return this.#present.get(channel.node)?.channel === channel;
  }

  channelOf(node: NodeName): NodeChannel | undefined {
    return this.#present.get(node)?.channel;
  }

  get online(): readonly NodeName[] {
    return [...this.#present.keys()];
  }

  statusOf(node: NodeName): NodeStatus | undefined {
    return this.#statuses.get(node);
  }

  /** From the report that came on the channel that is open now; an older one may be long out of date. */
  factsOf(node: NodeName): NodeFacts | undefined {
    return this.#present.get(node)?.facts;
  }

  reported(node: NodeName, report: NodeReport, nowMs: number): void {
    const presence = this.#present.get(node);
    if (presence !== undefined) presence.facts = factsOf(report);
    this.#update(node, { lastSeenMs: nowMs, report });
  }

  applied(node: NodeName, outcome: ApplyReport, nowMs: number): void {
    this.#update(node, { lastSeenMs: nowMs, outcome });
  }

  toldTo(node: NodeName): ToldState {
    return this.#present.get(node)?.told ?? NOT_TOLD;
  }

  noteTold(node: NodeName, told: ToldState): void {
    const presence = this.#present.get(node);
    if (presence !== undefined) presence.told = told;
  }

  /** Sends a frame if the node is here. */
  send(node: NodeName, frame: CoordinatorFrame): void {
    this.channelOf(node)?.send(frame);
  }

  sendToAll(frame: CoordinatorFrame): void {
    for (const node of this.online) this.send(node, frame);
  }

  /** Sends the node its hints, unless these are the ones that it has. Returns how many were sent. */
  sendHints(node: NodeName, hints: readonly LinkHint[]): number {
    const presence = this.#present.get(node);
    const text = canonicalJson(hints);
    if (presence === undefined || presence.hints === text) return 0;
    presence.hints = text;
    presence.channel.send({ type: 'links', hints: [...hints] });
    return hints.length;
  }

  takeUnwritten(): ReadonlyMap<NodeName, NodeStatus> {
    const taken = this.#unwritten;
    this.#unwritten = new Set();
    return new Map([...this.#statuses].filter(([node]) => taken.has(node)));
  }

  #update(node: NodeName, change: Partial<NodeStatus> & Pick<NodeStatus, 'lastSeenMs'>): void {
    const status = this.#statuses.get(node) ?? { lastSeenMs: 0, report: null, outcome: null };
    this.#statuses.set(node, { ...status, ...change });
    this.#unwritten.add(node);
  }
}

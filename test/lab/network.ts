import { natRules } from './nat-rules.ts';
import { makeRoomForNeighbours } from './neighbour-table.ts';
import { LabError, run, type RunOptions, type RunResult } from './run.ts';
import { dataPlane } from './surroundings.ts';
import {
  hubsOf,
  meshAddressPairOf,
  routersOf,
  wanSideOf,
  type EdgeNode,
  type HubName,
  type HubNode,
  type Lan,
  type NatRouter,
  type NodeName,
  type Topology,
} from './topology.ts';

/** A name of the topology: a node, the router in front of it, or `wan`. Each is a network namespace. */
export type HostName = string;

/** Where hosts are plugged in: on `wan`, and inside of a router. */
const WAN_BRIDGE = 'br0';
const INSIDE_BRIDGE = 'in0';

/** The routing table with charon's routes into tunnels. */
const CHARON_TABLE = 220;
/** The order in which a hub asks about an address; everybody else begins with the local ones. */
const RULES = { tunnels: 10, nowhere: 11, local: 12 } as const;

/** The lab's hosts as network namespaces. It names them; whoever made the lab removes them (`removal.ts`). */
export class Network {
  readonly topology: Topology;
  readonly #prefix: string;
  /** By host: its WAN address, where that is not the first one. */
  readonly #movedTo = new Map<HostName, string>();
  readonly #held = new Set<string>();

  constructor(prefix: string, topology: Topology) {
    this.#prefix = prefix;
    this.topology = topology;
  }

  /** Prefixed: the names of namespaces are the machine's. Those of interfaces are each namespace's own. */
  namespaceOf(host: HostName): string {
    return this.#prefix + host;
  }

  /** The argv that runs `argv` on a host. The process that it starts becomes the program: signals reach it. */
  argvOn(host: HostName, argv: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.namespaceOf(host), ...argv];
  }

  exec(host: HostName, argv: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run(this.argvOn(host, argv), options);
  }

  async build(): Promise<void> {
    const { edges } = this.topology;
    await makeRoomForNeighbours(hubsOf(this.topology).length + edges.length);
    await this.#addHost('wan');
    await this.#addBridge('wan', WAN_BRIDGE);
    for (const hub of hubsOf(this.topology)) await this.#buildHub(hub);
    for (const router of routersOf(this.topology)) await this.#buildRouter(router);
    for (const edge of edges) await this.#buildEdge(edge);
    await this.holdForRelay(edges.flatMap(({ name, lan }) => [lan.hubAddress, ...meshAddressPairOf(name)]));
  }

  /** Drops what two nodes send each other over the WAN, as a path that dies in silence does, until `restoreBetween`. */
  async dropBetween(a: NodeName, b: NodeName): Promise<void> {
    await this.dropFrom(a, b);
    await this.dropFrom(b, a);
  }

  async restoreBetween(a: NodeName, b: NodeName): Promise<void> {
    await this.restoreFrom(a, b);
    await this.restoreFrom(b, a);
  }

  /** Drops only what the first node sends to the second, until `restoreFrom`. */
  dropFrom(from: NodeName, to: NodeName): Promise<void> {
    return this.#drop(`drop_${from}_${to}`, from, to);
  }

  restoreFrom(from: NodeName, to: NodeName): Promise<void> {
    return this.#undrop(`drop_${from}_${to}`, from, to);
  }

  /** Drops all UDP between a node and a hub, both ways, until `unblockUdp`: neither IKE nor ESP in UDP passes. */
  blockUdp(node: NodeName, hub: HubName): Promise<void> {
    return this.#drop(`udp_${node}_${hub}`, node, hub, 'udp both ways');
  }

  unblockUdp(node: NodeName, hub: HubName): Promise<void> {
    return this.#undrop(`udp_${node}_${hub}`, node, hub);
  }

  /** Makes the router in front of a node (with two of them: the outer one) forget every mapping, as one that restarts does. */
  async flushConntrack(node: NodeName): Promise<void> {
    await this.exec(this.#wanSide(node).host, ['conntrack', '-F']);
  }

  /**
   * Gives what has a node's WAN address another one, or the first one again, and takes the old one and all mappings
   * away, as a provider does overnight.
   */
  async changeWanAddress(node: NodeName): Promise<void> {
    const first = this.#firstWanAddress(node);
    await this.#moveTo(node, this.#wanSide(node).address === first ? otherWanAddress(first) : first);
  }

  async restoreWanAddress(node: NodeName): Promise<void> {
    await this.#moveTo(node, this.#firstWanAddress(node));
  }

  /**
   * Gives the hubs addresses that are not theirs: packets to them go into a tunnel or nowhere. charon with
   * kernel-libipsec needs an address inside the local selector of a CHILD SA, as the source of its route, and when a hub
   * relays, that selector is another node's network. An address that they hold already stays.
   */
  async holdForRelay(addresses: readonly string[]): Promise<void> {
    if (dataPlane() === 'kernel') return;
    const added = addresses.filter((address) => !this.#held.has(address));
    for (const address of added) this.#held.add(address);
    for (const { name } of hubsOf(this.topology)) {
      for (const address of added) {
        await this.#ip(name, `addr add ${address}/32 dev lo`);
        await this.#ip(name, `rule add pref ${RULES.tunnels} to ${address} lookup ${CHARON_TABLE}`);
        await this.#ip(name, `rule add pref ${RULES.nowhere} to ${address} unreachable`);
      }
    }
  }

  /** The node's own LAN; throws LabError when this lab has no such node. */
  lanOf(node: NodeName): Lan {
    return this.#node(node).lan;
  }

  #node(name: NodeName): HubNode | EdgeNode {
    const node = [...hubsOf(this.topology), ...this.topology.edges].find((candidate) => candidate.name === name);
    if (node === undefined) throw new LabError('bad-argument', `this lab has no node ${name}`);
    return node;
  }

  #firstWanAddress(name: NodeName): string {
    const node = this.#node(name);
    return 'nat' in node ? wanSideOf(node).address : node.address;
  }

  /** The host with a node's WAN address, and the address that it has now. */
  #wanSide(name: NodeName): { readonly host: HostName; readonly address: string } {
    const node = this.#node(name);
    const { name: host, address } = 'nat' in node ? wanSideOf(node) : node;
    return { host, address: this.#movedTo.get(host) ?? address };
  }

  async #moveTo(node: NodeName, address: string): Promise<void> {
    const { host, address: old } = this.#wanSide(node);
    // In this order: with the first address of a subnet the kernel takes the others of it away.
    await this.#ip(host, `addr del ${old}/24 dev eth0`);
    await this.#ip(host, `addr add ${address}/24 dev eth0`);
    await this.exec(host, ['conntrack', '-F']);
    this.#movedTo.set(host, address);
  }

  /** On the bridge between the two, so that for every router a mapping ages as if nothing had come. */
  async #drop(table: string, from: NodeName, to: NodeName, what: 'all' | 'udp both ways' = 'all'): Promise<void> {
    const { host, addresses } = this.#between(from, to);
    const [a, b] = addresses;
    const rules =
      what === 'all'
        ? [`ip saddr ${a} ip daddr ${b} drop`]
        : [`ip saddr ${a} ip daddr ${b} meta l4proto udp drop`, `ip saddr ${b} ip daddr ${a} meta l4proto udp drop`];
    const chain = `chain early {\n type filter hook forward priority -300;\n ${rules.join('\n')}\n }`;
    await this.exec(host, ['nft', '-f', '-'], { input: `table bridge ${table} {\n ${chain}\n }\n` });
  }

  async #undrop(table: string, from: NodeName, to: NodeName): Promise<void> {
    await this.exec(this.#between(from, to).host, ['nft', 'delete', 'table', 'bridge', table]);
  }

  /** Where two nodes' packets to each other pass, and the addresses that they have there. */
  #between(a: NodeName, b: NodeName): { readonly host: HostName; readonly addresses: readonly [string, string] } {
    const [nodeA, nodeB] = [this.#node(a), this.#node(b)];
    if ('nat' in nodeA && 'nat' in nodeB && nodeA.nat !== undefined && nodeA.nat === nodeB.nat)
      return { host: nodeA.nat.name, addresses: [nodeA.address, nodeB.address] };
    return { host: 'wan', addresses: [this.#wanSide(a).address, this.#wanSide(b).address] };
  }

  async #buildHub({ name, address, lan }: HubNode): Promise<void> {
    await this.#addHost(name);
    await this.#plug(name, `${address}/24`, 'wan', WAN_BRIDGE);
    // The kernel asks for a route before it looks for a tunnel, and charon makes none where the node has no address.
    if (dataPlane() === 'kernel') await this.#ip(name, 'route add default dev eth0');
    await this.#addLan(name, lan);
    await this.#forward(name);
    // The kernel takes only an address in its table of local ones for a route's source, so they must be in it. What
    // `holdForRelay` says about an address has to be asked first.
    await this.#ip(name, `rule add pref ${RULES.local} lookup local`);
    await this.#ip(name, 'rule del pref 0');
  }

  async #buildRouter({ name, kind, address, insideAddress, behind }: NatRouter): Promise<void> {
    await this.#addHost(name);
    await this.#plugBehind(name, `${address}/24`, behind);
    await this.#addBridge(name, INSIDE_BRIDGE);
    await this.#ip(name, `addr add ${insideAddress}/24 dev ${INSIDE_BRIDGE}`);
    await this.#forward(name);
    const hubs = hubsOf(this.topology).map((hub) => hub.address);
    await this.exec(name, ['nft', '-f', '-'], { input: natRules(kind, hubs) });
  }

  async #buildEdge({ name, nat, address, lan }: EdgeNode): Promise<void> {
    await this.#addHost(name);
    await this.#plugBehind(name, `${address}/24`, nat);
    await this.#addLan(name, lan);
  }

  /** Connects a host's eth0 with the inside of a router, or with the WAN. */
  async #plugBehind(host: HostName, address: string, router: NatRouter | undefined): Promise<void> {
    if (router === undefined) return this.#plug(host, address, 'wan', WAN_BRIDGE);
    await this.#plug(host, address, router.name, INSIDE_BRIDGE);
    await this.#ip(host, `route add default via ${router.insideAddress}`);
  }

  async #plug(host: HostName, address: string, into: HostName, bridge: string): Promise<void> {
    await this.#ip(into, `link add ${host} type veth peer name eth0 netns ${this.namespaceOf(host)}`);
    await this.#ip(into, `link set ${host} master ${bridge} up`);
    await this.#setUp(host, 'eth0', address);
  }

  async #addBridge(host: HostName, name: string): Promise<void> {
    await this.#ip(host, `link add ${name} type bridge`);
    await this.#ip(host, `link set ${name} up`);
  }

  async #addHost(host: HostName): Promise<void> {
    await run(['ip', 'netns', 'add', this.namespaceOf(host)]);
    await this.#ip(host, 'link set lo up');
  }

  /** An empty bridge stands in for a LAN: some kernels have no dummy device. */
  async #addLan(host: HostName, { address }: Lan): Promise<void> {
    await this.#ip(host, 'link add lan0 type bridge');
    await this.#setUp(host, 'lan0', `${address}/24`);
  }

  async #setUp(host: HostName, device: string, address: string): Promise<void> {
    await this.#ip(host, `addr add ${address} dev ${device}`);
    await this.#ip(host, `link set ${device} up`);
  }

  async #forward(host: HostName): Promise<void> {
    await this.exec(host, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  }

  async #ip(host: HostName, command: string): Promise<void> {
    await run(['ip', '-n', this.namespaceOf(host), ...command.split(' ')]);
  }
}

/** Another one for a WAN address: 203.0.113.21 becomes 203.0.113.121. */
function otherWanAddress(address: string): string {
  return address.replace(/\d+$/, (last) => `${100 + Number(last)}`);
}

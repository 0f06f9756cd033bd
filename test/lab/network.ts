import { LabError, run, type RunOptions, type RunResult } from './run.ts';
import type { EdgeNode, HubNode, Lan, NatRouter, NodeName, Topology } from './topology.ts';

/** A name of the topology: a node, the router in front of it, or `wan`. Each is a network namespace. */
export type HostName = string;

/** The lab's hosts as network namespaces. It names them; whoever made the lab removes them (`removal.ts`). */
export class Network {
  readonly topology: Topology;
  readonly #prefix: string;

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
    await this.#addHost('wan');
    await this.#ip('wan', 'link add br0 type bridge');
    await this.#ip('wan', 'link set br0 up');
    await this.#buildHub(this.topology.hub);
    for (const edge of this.topology.edges) await this.#buildEdge(edge);
  }

  /** Drops what two nodes send each other over the WAN, as a path that dies in silence does, until `restoreBetween`. */
  async dropBetween(a: NodeName, b: NodeName): Promise<void> {
    await this.#dropFrom(a, b);
    await this.#dropFrom(b, a);
  }

  async restoreBetween(a: NodeName, b: NodeName): Promise<void> {
    await this.exec(this.#wanSideOf(a).host, ['nft', 'delete', 'table', 'ip', `drop_${b}`]);
    await this.exec(this.#wanSideOf(b).host, ['nft', 'delete', 'table', 'ip', `drop_${a}`]);
  }

  /** Makes the router in front of a node forget every mapping, as one that restarts does. */
  async flushConntrack(node: NodeName): Promise<void> {
    await this.exec(this.#wanSideOf(node).host, ['conntrack', '-F']);
  }

  /** The node's own LAN; throws LabError when this lab has no such node. */
  lanOf(node: NodeName): Lan {
    return node === 'master1' ? this.topology.hub.lan : this.#edge(node).lan;
  }

  #edge(node: NodeName): EdgeNode {
    const edge = this.topology.edges.find(({ name }) => name === node);
    if (edge === undefined) throw new LabError('bad-argument', `this lab has no node ${node}`);
    return edge;
  }

  #wanSideOf(node: NodeName): { readonly host: HostName; readonly address: string } {
    if (node === 'master1') return { host: node, address: this.topology.hub.address };
    const { nat } = this.#edge(node);
    return { host: nat.name, address: nat.address };
  }

  /** Ahead of connection tracking, so that a mapping ages as if nothing had come. */
  async #dropFrom(at: NodeName, from: NodeName): Promise<void> {
    const rules = `table ip drop_${from} {
      chain early { type filter hook prerouting priority -400; ip saddr ${this.#wanSideOf(from).address} drop; }
    }`;
    await this.exec(this.#wanSideOf(at).host, ['nft', '-f', '-'], { input: rules });
  }

  async #buildHub({ name, address, lan }: HubNode): Promise<void> {
    await this.#addWanHost(name, address);
    await this.#addLan(name, lan);
    await this.#forward(name);
    // 5.9.8 with kernel-libipsec refuses a relay's CHILD_SA when the hub has no address inside the local selector.
    for (const edge of this.topology.edges) await this.#ip(name, `addr add ${edge.lan.hubAddress}/32 dev lo`);
  }

  async #buildEdge({ name, nat, address, lan }: EdgeNode): Promise<void> {
    await this.#addWanHost(nat.name, nat.address);
    await this.#addHost(name);
    await this.#ip(nat.name, `link add in0 type veth peer name eth0 netns ${this.namespaceOf(name)}`);
    await this.#setUp(nat.name, 'in0', `${nat.insideAddress}/24`);
    await this.#setUp(name, 'eth0', `${address}/24`);
    await this.#ip(name, `route add default via ${nat.insideAddress}`);
    await this.#addLan(name, lan);
    await this.#forward(nat.name);
    await this.exec(nat.name, ['nft', '-f', '-'], { input: natRules(nat) });
  }

  async #addHost(host: HostName): Promise<void> {
    await run(['ip', 'netns', 'add', this.namespaceOf(host)]);
    await this.#ip(host, 'link set lo up');
  }

  async #addWanHost(host: HostName, address: string): Promise<void> {
    await this.#addHost(host);
    await this.#ip('wan', `link add ${host} type veth peer name eth0 netns ${this.namespaceOf(host)}`);
    await this.#ip('wan', `link set ${host} master br0 up`);
    await this.#setUp(host, 'eth0', `${address}/24`);
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

/**
 * The input drop matters. Without it an unsolicited packet that arrives before the node's own first packet leaves a
 * conntrack entry on the router, the node's packet then gets another source port, and hole punching fails.
 */
function natRules({ kind }: NatRouter): string {
  const masquerade = { cone: 'masquerade', symmetric: 'masquerade fully-random' }[kind];
  return `table ip nat {
    chain outbound { type nat hook postrouting priority 100; oifname "eth0" ${masquerade}; }
    chain to_router { type filter hook input priority 0; policy accept; iifname "eth0" drop; }
    chain through {
      type filter hook forward priority 0; policy drop;
      iifname "in0" accept
      ct state established,related accept
    }
  }`;
}

import { mkdir, writeFile } from 'node:fs/promises';
import type { Lab } from './lab.ts';
import { LabError, run } from './run.ts';
import type { EdgeName, EdgeNode, NodeName } from './topology.ts';

const SUBJECT = 'C=CN, O=Local Cluster';
const SWANCTL_TIMEOUT_MS = 90_000;

export interface PlainMeshOptions {
  /** What is behind an edge, CIDRs. Default: its LAN. */
  readonly subnetsOf?: (edge: EdgeNode) => readonly string[];
}

/**
 * The seed's mesh without a line of the project's programs: every node has the swanctl.conf that an operator would write,
 * with certificates as the product makes them (ECDSA P-256), and swanctl sets the tunnels up. Each pair of edges has a
 * mediated connection `peer-NAME` and a child NAME--NAME in the tunnel to the hub, `relay`.
 */
export class PlainMesh {
  readonly #lab: Lab;
  readonly #subnetsOf: (edge: EdgeNode) => readonly string[];
  /** Ways from one edge to another that charon begins nothing by any more. */
  readonly #held = new Set<string>();

  private constructor(lab: Lab, { subnetsOf = ({ lan }) => [lan.subnet] }: PlainMeshOptions) {
    this.#lab = lab;
    this.#subnetsOf = subnetsOf;
  }

  /** Starts every charon and loads its files. Nothing is initiated yet. */
  static async start(lab: Lab, options: PlainMeshOptions = {}): Promise<PlainMesh> {
    const mesh = new PlainMesh(lab, options);
    await mesh.#makeCredentials();
    for (const node of lab.nodes) {
      await writeFile(`${mesh.#directoryOf(node)}/swanctl.conf`, mesh.#swanctlConf(node));
      await lab.startCharon(node);
      await mesh.load(node);
    }
    return mesh;
  }

  /** Loads a node's files, again as well. */
  load(node: NodeName): Promise<string> {
    return this.#lab.swanctl(node, ['--load-all'], { directory: 'swanctl' });
  }

  /** Registers an edge at the mediator. Throws LabError when swanctl fails. */
  async register(edge: EdgeName): Promise<void> {
    await this.#initiate(edge, ['--ike', 'medsrv']);
  }

  /** Brings up the edge's tunnel to the hub, with the child for its link to the peer. */
  async relay(edge: EdgeName, peer: EdgeName): Promise<void> {
    await this.#initiate(edge, ['--ike', 'relay', '--child', linkOf(edge, peer)]);
  }

  /** Sets up the mediated tunnel, as far as `swanctl --initiate` tells. Both ends must be registered. */
  async initiateDirect(edge: EdgeName, peer: EdgeName): Promise<void> {
    await this.#initiate(edge, ['--child', peerOf(peer)]);
  }

  /**
   * {@link initiateDirect}, and when it fails from the other end, as from then on: charon loses one of some 40 set-ups on 6.0,
   * and sets up nothing more with that peer. `say` is told of that. False when both ends have failed.
   */
  async initiateDirectEitherWay(edge: EdgeName, peer: EdgeName, say: (text: string) => void): Promise<boolean> {
    for (const [from, to] of [
      [edge, peer],
      [peer, edge],
    ] as const) {
      if (this.#held.has(`${from} ${to}`)) continue;
      try {
        await this.initiateDirect(from, to);
        return true;
      } catch (error) {
        if (!(error instanceof LabError) || error.code !== 'command-failed') throw error;
        this.#held.add(`${from} ${to}`);
        say(`swanctl at ${from}, from now on at ${to} only: ${error.message}`);
      }
    }
    return false;
  }

  /** Asks charon for the mediated tunnel and does not wait. */
  async queueDirect(edge: EdgeName, peer: EdgeName): Promise<void> {
    await this.#lab.swanctl(edge, ['--initiate', '--child', peerOf(peer), '--timeout', '-1']);
  }

  /** The IKE SAs of a connection, `#ID, STATE` in charon's words, in order. */
  async ikeSas(node: NodeName, connection: string): Promise<readonly string[]> {
    const listed = await this.#lab.swanctl(node, ['--list-sas', '--ike', connection]);
    return Array.from(listed.matchAll(/^\S+: (#\d+, [A-Z]+),/gm), ([, sa = '']) => sa).sort();
  }

  /** Ends the mediated tunnel of an edge to a peer, on both sides. */
  async terminateDirect(edge: EdgeName, peer: EdgeName): Promise<void> {
    await this.#lab.swanctl(edge, ['--terminate', '--ike', peerOf(peer)]);
  }

  async #initiate(edge: EdgeName, what: readonly string[]): Promise<void> {
    await this.#lab.swanctl(edge, ['--initiate', ...what, '--timeout', '30', '--loglevel', '-1'], {
      timeoutMs: SWANCTL_TIMEOUT_MS,
    });
  }

  #directoryOf(node: NodeName): string {
    return `${this.#lab.folderOf(node)}/swanctl`;
  }

  /** One certificate per node with both identities: towards mediators the DN, towards hubs a name. */
  async #makeCredentials(): Promise<void> {
    const caKey = `${this.#lab.folder}/plain-ca.key`;
    const ca = `${this.#lab.folder}/plain-ca.crt`;
    await pki(['--gen', '--type', 'ecdsa', '--size', '256'], caKey);
    await pki(['--self', '--ca', '--in', caKey, '--type', 'ecdsa', '--dn', `${SUBJECT}, CN=ca`], ca);
    for (const node of this.#lab.nodes) {
      const directory = this.#directoryOf(node);
      for (const folder of ['x509', 'x509ca', 'private']) await mkdir(`${directory}/${folder}`, { recursive: true });
      const key = `${directory}/private/node.pem`;
      await pki(['--gen', '--type', 'ecdsa', '--size', '256'], key);
      const issue = ['--issue', '--cacert', ca, '--cakey', caKey, '--in', key, '--type', 'ecdsa'];
      await pki([...issue, '--dn', mediationId(node), '--san', tunnelId(node)], `${directory}/x509/node.pem`);
      await run(['cp', ca, `${directory}/x509ca/ca.pem`]);
    }
  }

  #swanctlConf(node: NodeName): string {
    const edge = this.#lab.network.topology.edges.find(({ name }) => name === node);
    const connections = edge === undefined ? this.#hubConnections(node) : this.#edgeConnections(edge);
    return `connections {\n${connections}\n}\n`;
  }

  #hubConnections(node: NodeName): string {
    const { edges } = this.#lab.network.topology;
    const medsrv = connection('medsrv', 'mediation = yes', [mediationId(node), `${SUBJECT}, CN=*`]);
    return [
      medsrv,
      ...edges.map((edge) => {
        const children = edges
          .filter((peer) => peer !== edge)
          .map((peer) => this.#child(linkOf(edge.name, peer.name), [peer, edge], 2000));
        return connection(`from-${edge.name}`, '', [tunnelId(node), tunnelId(edge.name)], children);
      }),
    ].join('\n');
  }

  #edgeConnections(edge: EdgeNode): string {
    const { hub, edges } = this.#lab.network.topology;
    const peers = edges.filter((peer) => peer !== edge);
    const toHub = `remote_addrs = ${hub.address}`;
    const relays = peers.map((peer) => this.#child(linkOf(edge.name, peer.name), [edge, peer], 2000));
    return [
      connection('medsrv', `mediation = yes\n${toHub}`, [mediationId(edge.name), mediationId(hub.name)]),
      connection('relay', toHub, [tunnelId(edge.name), tunnelId(hub.name)], relays),
      ...peers.map((peer) => {
        const options = `mediated_by = medsrv\nmediation_peer = "${mediationId(peer.name)}"`;
        const ids = [mediationId(edge.name), mediationId(peer.name)] as const;
        return connection(peerOf(peer.name), options, ids, [this.#child(peerOf(peer.name), [edge, peer], 1000)]);
      }),
    ].join('\n');
  }

  #child(name: string, [local, remote]: readonly [EdgeNode, EdgeNode], priority: number): string {
    return `${name} {
      local_ts = ${this.#subnetsOf(local).join(', ')}
      remote_ts = ${this.#subnetsOf(remote).join(', ')}
      priority = ${priority}
      dpd_action = clear
    }`;
  }
}

/** What the product loads as well: no MOBIKE, which the mediation extension does not work with. */
function connection(
  name: string,
  options: string,
  [localId, remoteId]: readonly [string, string],
  children: readonly string[] = [],
): string {
  return `${name} {
    version = 2
    mobike = no
    dpd_delay = 10s
    unique = replace
    ${options}
    local { auth = pubkey\n certs = node.pem\n id = "${localId}" }
    remote { auth = pubkey\n cacerts = ca.pem\n id = "${remoteId}" }
    children { ${children.join('\n')} }
  }`;
}

async function pki(args: readonly string[], file: string): Promise<void> {
  const { stdout } = await run(['pki', ...args, '--outform', 'pem']);
  if (!stdout.startsWith('-----BEGIN')) throw new LabError('command-failed', `pki ${args.join(' ')}: no PEM`);
  await writeFile(file, stdout, { mode: 0o600 });
}

function mediationId(node: NodeName): string {
  return `${SUBJECT}, CN=${node}`;
}

function tunnelId(node: NodeName): string {
  return `${node}.plain`;
}

function peerOf(node: NodeName): string {
  return `peer-${node}`;
}

function linkOf(a: NodeName, b: NodeName): string {
  return [a, b].sort().join('--');
}

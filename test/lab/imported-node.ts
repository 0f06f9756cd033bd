import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { nodeDisk } from '../../src/ike/import/disk.ts';
import { FILE_BYTES_MAX } from '../../src/ike/import/input-files.ts';
import type { ImportedConfig } from '../../src/ike/import/imported.ts';
import { loadCommands } from '../../src/ike/import/load-commands.ts';
import { readConfig } from '../../src/ike/import/read-config.ts';
import { ViciSession, type ViciIkeSa, type ViciValue } from '../../src/vici/index.ts';
import { publicKeyOf } from '../identity/mesh.ts';
import type { Lab } from './lab.ts';
import type { NodeName } from './topology.ts';

const SEED = fileURLToPath(new URL('../fixtures/seed', import.meta.url));
/** Where the seed's nodes find master1. */
const SEED_HUB = '10.20.8.141';

/** One of the seed's nodes in the lab, as its own two files have it. */
export class ImportedNode implements AsyncDisposable {
  readonly config: ImportedConfig;
  readonly session: ViciSession;

  private constructor(config: ImportedConfig, session: ViciSession) {
    this.config = config;
    this.session = session;
  }

  /**
   * Gives a node the seed's ipsec.conf and ipsec.secrets, with the lab's address for that of master1, and the
   * certificates and keys that they name; starts its charon, and loads what the import makes of them.
   */
  static async start(lab: Lab, name: NodeName, ca: MeshCa): Promise<ImportedNode> {
    const config = await importSeed(lab, name, ca);
    await lab.startCharon(name);
    const session = await ViciSession.connect({ socketPath: lab.viciSocketOf(name) });
    for (const { command, request } of loadCommands(config, (path) => nodeDisk.read(path, FILE_BYTES_MAX))) {
      const reply = await session.request(command, request);
      if (reply.get('success') !== 'yes') throw new Error(`${name}: ${command}: ${textOf(reply.get('errmsg'))}`);
    }
    return new ImportedNode(config, session);
  }

  async ikeSas(): Promise<readonly ViciIkeSa[]> {
    const sas: ViciIkeSa[] = [];
    for await (const sa of this.session.stream('list-sas')) sas.push(sa);
    return sas;
  }

  /**
   * What `ipsec status` of the seed shows of each SA that is up: its connection, the peer's identity, the selectors.
   */
  async status(): Promise<readonly string[]> {
    const established = (await this.ikeSas()).filter(({ state }) => state === 'ESTABLISHED');
    return established
      .flatMap((ike) => {
        const children = [...ike['child-sas'].values()].filter(({ state }) => state === 'INSTALLED');
        const selectors = children.map((child) => `${child['local-ts'].join(' ')} === ${child['remote-ts'].join(' ')}`);
        return `${ike.name} [${ike['remote-id']}] ${selectors.join(', ')}`.trimEnd();
      })
      .sort();
  }

  /** charon's answer to an `initiate` that waits for the end of the attempt: undefined, or why it failed. */
  async initiate(ike: string, child?: string): Promise<string | undefined> {
    const request = { ike, ...(child !== undefined && { child }), timeout: 30_000 };
    const reply = await this.session.request('initiate', request, { lane: 'slow' });
    return reply.get('success') === 'yes' ? undefined : textOf(reply.get('errmsg'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session[Symbol.asyncDispose]();
  }
}

function textOf(value: ViciValue | undefined): string {
  return typeof value === 'string' ? value : 'no reason given';
}

async function importSeed(lab: Lab, name: NodeName, ca: MeshCa): Promise<ImportedConfig> {
  const folder = `${lab.folderOf(name)}/etc`;
  await mkdir(`${folder}/ipsec.d/cacerts`, { recursive: true });
  await writeFile(`${folder}/ipsec.d/cacerts/ca.pem`, ca.certificatePem);
  for (const file of ['ipsec.conf', 'ipsec.secrets']) {
    const text = await readFile(`${SEED}/${name}/${file}`, 'utf8');
    await writeFile(`${folder}/${file}`, text.replaceAll(SEED_HUB, lab.network.topology.hub.address));
  }
  const config = readConfig(`${folder}/ipsec.conf`, { disk: nodeDisk });
  await makeCredentials(config, ca);
  return config;
}

/** A key for each identity of the secrets, and the certificate that a conn with that identity names. */
async function makeCredentials(config: ImportedConfig, ca: MeshCa): Promise<void> {
  const certificateFiles = new Map(
    config.connections.flatMap(({ local }) =>
      local.rounds.flatMap(({ id, certificates: [ref] }) =>
        ref !== undefined && 'file' in ref ? [[id, ref.file] as const] : [],
      ),
    ),
  );
  for (const credential of config.credentials) {
    if (credential.kind !== 'private-key') continue;
    const [identity = ''] = credential.owners;
    const key = await generatePrivateKey('rsa-2048');
    await writeInto(credential.file, key);
    const certificateFile = certificateFiles.get(identity);
    if (certificateFile === undefined) throw new Error(`no conn names a certificate for ${identity}`);
    const node = identity.replace(/^.*CN=/, '');
    const certificate = await issueIkeCertificate(ca, { node, publicKey: publicKeyOf(key), nowMs: Date.now() });
    await writeInto(certificateFile, certificate);
  }
}

async function writeInto(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text, { mode: 0o600 });
}

import { execFile } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { nodeDisk } from '../../src/ike/import/disk.ts';
import { loadCommands } from '../../src/ike/import/load-commands.ts';
import { readConfig } from '../../src/ike/import/read-config.ts';
import { formatSwanctlConf } from '../../src/ike/import/swanctl-text.ts';
import { ViciSession, type ViciConn } from '../../src/vici/index.ts';
import { meshCa, publicKeyOf } from '../identity/mesh.ts';
import { canRunCharon, CharonDaemon } from './charon-daemon.ts';

const run = promisify(execFile);

/** One of nearly everything that swanctl.conf can say. */
const SWANCTL_CONF = `
defaults {
  version = 2
  proposals = aes128-sha256-curve25519, default
  local { certs = edge1.pem
    id = edge1.mesh.example }
}
connections {
  full : defaults {
    local_addrs = 127.0.0.1, 192.0.2.0/24
    remote_addrs = 192.0.2.1, gateway.invalid
    remote_port = 4500
    vips = 0.0.0.0, ::
    rekey_time = 4 h
    reauth_time = 1d
    over_time = 10m
    rand_time = 5m
    dpd_delay = 30s
    keyingtries = 0
    unique = keep
    mobike = No
    encap = yes
    fragmentation = force
    send_cert = always
    send_certreq = no
    dscp = 101
    if_id_in = 5
    if_id_out = %unique
    remote { auth = pubkey-sha256
      id = "C=CN, O=Local Cluster, CN=*"
      cacerts = ca.pem
      ca_id = "C=CN, O=Local Cluster, CN=other"
      groups = a, b
      cert_policy = 1.2.3
      revocation = ifuri }
    children {
      net { local_ts = 10.1.0.0/16[tcp/80], 10.2.0.0/16, dynamic
        remote_ts = 10.3.0.0-10.3.0.9
        esp_proposals = aes128gcm16
        rekey_time = 20m
        life_time = 30m
        rand_time = 1m
        life_bytes = 2 G
        rekey_packets = 1000
        mode = transport
        start_action = trap
        close_action = none
        dpd_action = restart
        inactivity = 5m
        priority = 1000
        reqid = 42
        mark_in = 0x2a/0xff
        mark_out = %unique
        set_mark_out = %same/0xff
        tfc_padding = mtu
        replay_window = 64
        hw_offload = no
        copy_dscp = in
        copy_df = no
        ipcomp = yes
        policies = no }
      second { ah_proposals = sha256
        policies_fwd_out = yes
        sha256_96 = yes }
    }
  }
  small { }
  psk { pools = p
    aggressive = yes
    version = 1
    pull = no
    local-a { auth = psk
      id = here }
    remote-2 { auth = xauth
      round = 2 }
    remote-1 { auth = psk
      round = 1 } }
  medsrv : defaults { mediation = yes
    mobike = no }
  peer : defaults { mediated_by = medsrv
    mediation_peer = other
    mobike = no
    rekey_time = 1h
    remote { id = other }
    children { peer { remote_ts = 10.9.0.0/16 } } }
}
secrets {
  ike-1 { id-1 = here
    id-2 = there
    secret = 0sYWJj }
  private-1 { file = locked.pem
    secret = "pass phrase" }
}
pools { p { addrs = 10.5.0.0/24
    dns = 10.5.0.1, 10.5.0.2 } }
authorities { org { cacert = ca.pem
    crl_uris = http://127.0.0.1/crl
    ocsp_uris = http://127.0.0.1/a, http://127.0.0.1/b } }
`;

/** All that can be read back of what was loaded. */
interface Loaded {
  readonly connections: readonly ViciConn[];
  readonly certificates: readonly string[];
  readonly others: readonly string[];
}

async function loadedIn(session: ViciSession): Promise<Loaded> {
  const connections: ViciConn[] = [];
  for await (const connection of session.stream('list-conns')) connections.push(connection);
  const certificates: string[] = [];
  for await (const { data } of session.stream('list-certs')) certificates.push(Buffer.from(data).toString('base64'));
  const pools = [...(await session.call('get-pools'))].map(([name, { base, size }]) => `${name} ${base} ${size}`);
  const { authorities } = await session.call('get-authorities');
  const { keys } = await session.call('get-keys');
  const shared = await session.call('get-shared');
  const others = [...pools, ...authorities, ...keys.toSorted(), ...shared.keys];
  return { connections, certificates: certificates.sort(), others };
}

describe.skipIf(!canRunCharon)('an imported swanctl.conf', () => {
  let folder: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cygnet-import-'));
    for (const name of ['x509', 'x509ca', 'private']) await mkdir(join(folder, name));
    const ca = await meshCa();
    const key = await generatePrivateKey('ecdsa-p256');
    const certificate = await issueIkeCertificate(ca, {
      node: 'edge1',
      publicKey: publicKeyOf(key),
      nowMs: Date.now(),
    });
    const locked = createPrivateKey(await generatePrivateKey('rsa-2048')).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'pass phrase',
    });
    await writeFile(join(folder, 'x509/edge1.pem'), certificate);
    await writeFile(join(folder, 'x509ca/ca.pem'), ca.certificatePem);
    await writeFile(join(folder, 'private/key.pem'), key);
    await writeFile(join(folder, 'private/locked.pem'), locked);
    await writeFile(join(folder, 'swanctl.conf'), SWANCTL_CONF);
  });
  afterAll(() => rm(folder, { recursive: true }));

  const PLUGINS =
    'random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem gmp curve25519 hmac kdf gcm aes sha2 sha1 ' +
    'kernel-libipsec kernel-netlink socket-default vici xauth-generic';

  /** What a fresh charon holds after `load`. */
  async function after(load: (daemon: CharonDaemon, session: ViciSession) => Promise<void>): Promise<Loaded> {
    await using daemon = await CharonDaemon.start({ plugins: PLUGINS });
    await using session = await ViciSession.connect({ socketPath: daemon.socketPath });
    await load(daemon, session);
    return await loadedIn(session);
  }

  const bySwanctl = (file: string) => (daemon: CharonDaemon) =>
    run('swanctl', ['--load-all', '--noprompt', '--file', file, '--uri', `unix://${daemon.socketPath}`], {
      env: { ...process.env, SWANCTL_DIR: folder },
    }).then(() => undefined);

  it('loads what swanctl would have loaded', async () => {
    const path = join(folder, 'swanctl.conf');
    const config = readConfig(path, { disk: nodeDisk });
    expect(config.warnings).toEqual([]);
    const ours = await after(async (_daemon, session) => {
      for (const { command, request } of loadCommands(config, (file) => nodeDisk.read(file, 65_536))) {
        expect([command, (await session.request(command, request)).get('success')]).toEqual([command, 'yes']);
      }
    });
    expect(ours.connections).toHaveLength(5);
    expect(ours).toEqual(await after(bySwanctl(path)));
  });

  it('printed as swanctl.conf makes swanctl load the same', async () => {
    const path = join(folder, 'swanctl.conf');
    const printed = join(folder, 'printed.conf');
    await writeFile(printed, formatSwanctlConf(readConfig(path, { disk: nodeDisk })));
    const [original, again] = [await after(bySwanctl(path)), await after(bySwanctl(printed))];
    expect(again.connections).toEqual(original.connections);
    expect(again.certificates).toEqual(original.certificates);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { Mesh } from './mesh.ts';
import { waitFor } from './wait-for.ts';

/** What the seed's files set, said in a mesh spec, as real charons take it. */
const SPEC = `
nodes:
  master1: { roles: [mediator, hub], endpoint: 203.0.113.10, subnets: [10.233.97.0/24] }
  edge1: { subnets: [7.7.7.0/25, 7.7.7.192/26], ike: { mobike: true } }
  remote: { subnets: [7.7.8.0/24], virtualIps: [1.1.1.236] }
links:
  - [edge1, remote]
  - { between: [edge1, master1], child: { lifetime: 10m, margin: 1m } }
  - { between: [remote, master1], start: add }
defaults:
  ike: { lifetime: 60m, margin: 3m, keyingTries: 1, mobike: false, proposals: [aes256-sha256-modp2048] }
  child: { lifetime: 20m, margin: 3m, proposals: [aes128gcm16] }
`;

describe.each(['5.9', '6.0'] as const)('the options of the seed on strongSwan %s', (strongswan) => {
  let lab: Lab;
  let mesh: Mesh;

  beforeAll(async () => {
    lab = await Lab.create({ strongswan });
    mesh = new Mesh(lab);
    // kernel-libipsec of 5.9.8 installs a CHILD SA only where the node has an address in each of its local selectors.
    await lab.exec('edge1', ['ip', 'addr', 'add', '7.7.7.193/32', 'dev', 'lo']);
    await lab.exec('master1', ['ip', 'addr', 'add', '7.7.7.2/32', 'dev', 'lo']);
    await Promise.all(lab.nodes.map((node) => lab.startCharon(node)));
    await mesh.startCoordinator();
    await mesh.startAgent('master1', { keyType: 'rsa-3072' });
    await mesh.startAgent('edge1', { keyType: 'rsa-2048' });
    await mesh.startAgent('remote', { keyType: 'ecdsa-p384' });
    for (const node of lab.nodes) await mesh.enroll(node);
    await mesh.applySpec(SPEC);
    await waitFor({
      what: 'a direct path between edge1 and remote',
      observe: () => mesh.status('edge1'),
      until: ({ links }) => links.every(({ path }) => path === 'direct'),
      timeoutMs: 30_000,
    });
  });
  afterAll(async () => {
    await lab?.[Symbol.asyncDispose]();
  });

  it('gives RSA and ECDSA keys, subject DNs and dNSNames as identities', async () => {
    const sas = await lab.swanctl('master1', ['--list-sas']);
    expect(sas).toContain("'C=CN, O=Local Cluster, CN=edge1'");
    expect(sas).toContain("'remote.seed'");
    expect(sas).toContain('AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048');
  });

  it('gives several subnets in one CHILD SA, and packets through each', async () => {
    const sas = await lab.swanctl('edge1', ['--list-sas', '--ike', 'cygnet-peer-remote']);
    expect(sas).toMatch(/local\s+7\.7\.7\.0\/25 7\.7\.7\.192\/26/);
    expect(sas).toContain('AES_GCM_16-128');
    expect(await lab.ping('edge1', '7.7.8.1', { count: 5 })).toEqual({ sent: 5, received: 5 });
  });

  it('gives lifetimes and margins in the terms of ipsec.conf', async () => {
    const conns = await lab.swanctl('edge1', ['--list-conns']);
    expect(conns).toContain('rekeying every 3420s');
    // 20m less 3m, and 10m less 1m for the one link that says so.
    expect(conns).toMatch(/edge1--remote: TUNNEL, rekeying every 1020s/);
    expect(conns).toMatch(/edge1--master1: TUNNEL, rekeying every 540s/);
  });

  it('only loads what the spec says to add', async () => {
    const conns = await lab.swanctl('remote', ['--list-conns']);
    expect(conns).toContain('master1--remote');
    expect(await lab.swanctl('remote', ['--list-sas', '--child', 'master1--remote'])).not.toContain('INSTALLED');
  });

  it('survives the rekeying of IKE and CHILD SA without a step, a duplicate or a lost packet', async () => {
    const ping = await lab.longPing('edge1', '7.7.8.1');
    await lab.swanctl('edge1', ['--rekey', '--child', 'edge1--remote', '--ike', 'cygnet-peer-remote']);
    await lab.swanctl('remote', ['--rekey', '--ike', 'cygnet-peer-edge1']);
    const events = await waitFor({
      what: 'both rekeyings in the events of edge1',
      observe: () => mesh.agentctl('edge1', ['events']),
      until: (text) => text.includes('child-rekey') && text.includes('ike-rekey'),
      timeoutMs: 30_000,
    });
    await lab.ping('remote', '7.7.7.1', { count: 20 });
    const { sent, received } = await ping.stop();
    expect(sent).toBeGreaterThan(20);
    expect(received).toBe(sent);
    expect(events.slice(events.indexOf('child-rekey'))).not.toMatch(/ step /);
    const sas = await lab.swanctl('edge1', ['--list-sas', '--ike', 'cygnet-peer-remote', '--raw']);
    expect(sas.match(/state=ESTABLISHED/g)).toHaveLength(1);
    expect(sas.match(/state=INSTALLED/g)).toHaveLength(1);
  });
});

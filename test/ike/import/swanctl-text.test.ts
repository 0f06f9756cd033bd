import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { ImportedConfig } from '../../../src/ike/import/imported.ts';
import { formatSwanctlConf } from '../../../src/ike/import/swanctl-text.ts';
import { ipsec, swanctl } from './memory-disk.ts';

const SEED = fileURLToPath(new URL('../../fixtures/seed', import.meta.url));

/** What a configuration is made of, apart from where it stands and what is said about it. */
function meaningOf(config: ImportedConfig): unknown {
  const { connections, pools, authorities } = config;
  return JSON.parse(
    JSON.stringify({ connections, pools, authorities }, (key, value: unknown) => {
      // Empty lists and what is left out both mean charon's default; what starts is in the comments.
      if (key === 'place' || key === 'start' || (Array.isArray(value) && value.length === 0)) return undefined;
      return value;
    }),
  );
}

describe('the swanctl.conf of a configuration', () => {
  it.each([
    ['pools and secrets', 'conn net\n  authby=secret\n  right=192.0.2.1\n  rightsourceip=10.3.0.0/24\n  auto=start\n'],
    ['several children', 'conn a\n  auto=route\nconn b\n  leftsubnet=10.1.0.0/16\n  auto=add\n'],
    ['rounds', 'conn a\n  leftauth=psk\n  leftauth2=xauth\n  xauth_identity="a \\"b\\""\n  auto=add\n'],
    ['keys within', 'conn a\n  rightsigkey=0sAQID\n  auto=add\n'],
    [
      'all kinds of options',
      'conn a\n  mark=5/0xff\n  tfc=%mtu\n  dpdaction=hold\n  esp=aes128-sha256\n  forceencaps=yes\n  auto=add\n',
    ],
  ])('reads as what it was made from: %s', (_what, text) => {
    const config = ipsec(text);
    const again = swanctl(formatSwanctlConf(config));
    expect(again.warnings).toEqual([]);
    expect(meaningOf(again)).toEqual(meaningOf(config));
  });

  it.each(['master1', 'edge1', 'remote'])('reads as the seed’s %s', (node) => {
    const config = ipsec(readFileSync(`${SEED}/${node}/ipsec.conf`, 'utf8'));
    const again = meaningOf(swanctl(formatSwanctlConf(config)));
    const expected = JSON.stringify(meaningOf(config));
    // A mediated connection is not started by loading it.
    const withoutStart = expected.replaceAll(/("name":"peer"[^}]*"startAction":)"start"/g, '$1"none"');
    expect(again).toEqual(JSON.parse(withoutStart));
  });

  it('has no secret, but says whose it is and where it stands', () => {
    const config = ipsec('config setup\n', {
      '/etc/ipsec.secrets': 'a "C=CN, CN=b" : PSK verysecret\n: ECDSA key.pem hush\n',
    });
    expect(formatSwanctlConf(config)).toBe(`# swanctl loads what is in its folders. Copy there:
#   /etc/ipsec.d/private/key.pem -> /etc/swanctl/ecdsa/key.pem

secrets {
  ike-1 {
    id-1 = a
    id-2 = "C=CN, CN=b"
    # secret = …  (not shown. It stands in /etc/ipsec.secrets:1.)
  }
  ecdsa-2 {
    file = key.pem
    # secret = …  (not shown. It stands in /etc/ipsec.secrets:2.)
  }
}
`);
  });

  it('gives names that the format has no room for another, and goes on referring to them', () => {
    const config = ipsec(
      'conn "med srv"\n  mediation=yes\n  auto=start\nconn a.b\n  mediated_by="med srv"\n  rightid=p\n  auto=start\nconn a_b\n  auto=add\n',
    );
    const text = formatSwanctlConf(config);
    expect(swanctl(text).connections).toMatchObject([
      { name: 'med_srv' },
      { name: 'a_b_2', mediation: { by: 'med_srv' }, children: [{ name: 'a_b' }] },
      { name: 'a_b' },
    ]);
    expect(text).toContain('#   swanctl --initiate --ike a_b_2 --child a_b (while med_srv is established)\n');
  });

  it('cannot be broken out of by a value', () => {
    const evil = 'x"\n}\nupdown = y # \\\r';
    const config = ipsec('conn a\n  auto=add\n');
    const [connection] = config.connections;
    const hostile = {
      ...config,
      connections: [{ ...connection!, local: { rounds: [{ ...connection!.local.rounds[0]!, id: evil }] } }],
      credentials: [{ kind: 'certificate' as const, type: 'x509ca' as const, file: '/a\nupdown = b' }],
    };
    const again = swanctl(formatSwanctlConf(hostile));
    expect(again.connections[0]?.local.rounds[0]?.id).toBe(evil);
    expect(again.warnings).toEqual([]);
  });
});

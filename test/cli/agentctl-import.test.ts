import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agentctl } from '../../src/cli/agentctl.ts';
import { FakeTerminal } from './fake-terminal.ts';

const SEED = fileURLToPath(new URL('../fixtures/seed', import.meta.url));

let folder: string;
let terminal: FakeTerminal;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-import-'));
  cpSync(SEED, folder, { recursive: true });
  terminal = new FakeTerminal();
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const run = (...args: readonly string[]): Promise<number> => agentctl(['import', ...args], terminal);
const seed = (node: string): string => join(folder, node, 'ipsec.conf');
/** Without the folder, which differs from run to run. */
const plain = (text: string): string => text.replaceAll(folder, '');

describe('agentctl import', () => {
  it('shows a seed’s configuration to people, and warnings on standard error', async () => {
    expect(await run(seed('edge1'))).toBe(0);
    expect(plain(terminal.stdout)).toBe(`medsrv: mediation connection, started from here
  local   any address; pubkey as "C=CN, O=Local Cluster, CN=proxy" with /edge1/ipsec.d/certs/proxy_cert.pem
  remote  10.20.8.141; pubkey as "C=CN, O=Local Cluster, CN=cloud-connector"
  reauthenticates after 57 min, never checks the peer, no CHILD SA
peer: mediated by medsrv, where the peer is C=CN, O=Local Cluster, CN=remote
  local   any address; pubkey as "C=CN, O=Local Cluster, CN=proxy" with /edge1/ipsec.d/certs/proxy_cert.pem
  remote  any address; pubkey as "C=CN, O=Local Cluster, CN=remote"
  rekeys after 57 min, never checks the peer
  child peer: 7.7.7.0/24 === 7.7.8.0/24
    started once the mediator is there, rekeys after 17 min
cloud: IKEv2
  local   any address; pubkey as "C=CN, O=Local Cluster, CN=proxy2" with /edge1/ipsec.d/certs/proxy2_cert.pem
  remote  10.20.8.141; pubkey as "C=CN, O=Local Cluster, CN=cloud-connector2"
  reauthenticates after 57 min, never checks the peer
  child cloud: 6.1.2.0/24 === 6.1.1.0/24
    started on loading, rekeys after 17 min

CREDENTIAL   FOR                               WHAT
private key  C=CN, O=Local Cluster, CN=proxy   /edge1/ipsec.d/private/proxy_key.pem
private key  C=CN, O=Local Cluster, CN=proxy2  /edge1/ipsec.d/private/proxy2_key.pem

3 connections, 2 credentials, 5 warnings
`);
    expect(plain(terminal.stderr).split('\n')).toHaveLength(6);
    expect(plain(terminal.stderr)).toContain('/edge1/ipsec.conf:17: warning: peer: start it from one end only');
  });

  it('names what a seed’s configuration loses, and what to do instead', async () => {
    expect(await run(seed('master1'))).toBe(0);
    expect(plain(terminal.stderr)).toMatch(/\/master1\/ipsec.conf:14: warning: leftfirewall=yes is not carried over: /);
    expect(plain(terminal.stderr)).toMatch(
      /\/master1\/ipsec.conf:31: warning: leftsubnet was set at .*: leftsubnet=6.1.1.0\/24,6.1.2.0\/24\n/,
    );
  });

  it('--json is one line with everything, warnings included, and nothing on standard error', async () => {
    expect(await run(seed('remote'), '--json')).toBe(0);
    expect(terminal.stdout.split('\n')).toHaveLength(2);
    expect(terminal.stderr).toBe('');
    expect(JSON.parse(plain(terminal.stdout))).toMatchObject({
      source: 'ipsec',
      connections: [
        { name: 'medsrv', mediation: { kind: 'mediation', start: true }, ike: { virtualIps: ['1.1.1.236'] } },
        { name: 'peer', mediation: { kind: 'mediated', by: 'medsrv', peer: 'C=CN, O=Local Cluster, CN=proxy' } },
        { name: 'cloud', children: [{ localTs: ['7.7.8.0/24'], remoteTs: ['10.233.97.0/24'] }] },
      ],
      credentials: [{ kind: 'private-key' }, { kind: 'private-key' }],
      warnings: expect.arrayContaining([expect.objectContaining({ file: '/remote/ipsec.conf', line: 19 })]),
      initiations: [{ ike: 'medsrv' }, { ike: 'peer', child: 'peer', after: 'medsrv' }],
    });
  });

  it('--format swanctl prints what can be imported again', async () => {
    expect(await run(seed('remote'), '--format', 'swanctl')).toBe(0);
    expect(plain(terminal.stderr)).toContain('warning:');
    const again = write('swanctl.conf', terminal.stdout);
    terminal = new FakeTerminal();
    expect(await run(again)).toBe(0);
    expect(terminal.stdout).toContain('child cloud: 7.7.8.0/24 === 10.233.97.0/24\n');
  });

  it('shows every kind of thing that there is, but no secret', async () => {
    mkdirSync(join(folder, 'x509ca'));
    write('x509ca/ca.pem', '');
    const path = write(
      'swanctl.conf',
      `connections { net { local { auth = psk } remote { pubkeys = 0sAQID }
         children { net { mode = transport
           start_action = trap } } } }
       secrets { ike-a { secret = verysecret } eap-b { id-1 = b
         secret = verysecret } }
       pools { p { addrs = 10.3.0.0/24 } }
       authorities { org { cacert = ca.pem } }`,
    );
    expect(await run(path)).toBe(0);
    expect(plain(terminal.stdout)).toBe(`net: IKEv1 or IKEv2
  local   any address; psk
  remote  any address; any method with a key in the file itself
  never checks the peer
  child net: dynamic === dynamic
    transport, started by traffic

CREDENTIAL      FOR        WHAT
CA certificate             /x509ca/ca.pem
PSK             everybody  a secret, not shown
EAP             b          a secret, not shown

BESIDES    NAME  WHAT
pool       p     10.3.0.0/24
authority  org   /x509ca/ca.pem

1 connection, 3 credentials, 0 warnings
`);
    for (const args of [['--json'], ['--format', 'swanctl']]) {
      expect(await run(path, ...args)).toBe(0);
      expect(terminal.stdout).not.toContain('verysecret');
    }
  });

  it('takes other secrets, and the word of the user for what the file is', async () => {
    const secrets = write('other.secrets', 'a : PSK x\n');
    expect(await run(seed('edge1'), '--secrets', secrets, '--json')).toBe(0);
    expect(JSON.parse(terminal.stdout)).toMatchObject({ credentials: [{ kind: 'shared-key' }] });
    expect(await run(seed('edge1'), '--from', 'swanctl')).toBe(2);
  });

  it.each([
    ['a.conf', 'conn a\n  leftid\n', '/a.conf:2: leftid without a value (KEY=VALUE)'],
    ['a.conf', 'conn a\n  also=b\n', '/a.conf:2: also=b: there is no such section'],
    ['a.conf', 'hello\n', '/a.conf: neither an ipsec.conf (conn NAME) nor a swanctl.conf (connections { })'],
    ['a\u001B[2J.conf', 'connections {', '/a?[2J.conf:1: section connections never ends: "}" is missing'],
  ])('fails with 2 for %j with %j, naming the file and the line', async (name, text, message) => {
    expect(await run(write(name, text))).toBe(2);
    expect(plain(terminal.stderr)).toBe(`agentctl: ${message}\n`);
    expect(terminal.stdout).toBe('');
  });

  it('fails with 2 for files that are not there', async () => {
    expect(await run(join(folder, 'none'))).toBe(2);
    expect(plain(terminal.stderr)).toBe('agentctl: /none: there is no such file\n');
    expect(await run(seed('edge1'), '--secrets', join(folder, 'none'))).toBe(2);
    expect(await run(folder)).toBe(2);
  });

  it('changes nothing', async () => {
    const paths = (): readonly string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
    const before = paths();
    const text = readFileSync(seed('edge1'));
    for (const args of [[], ['--json'], ['--format', 'swanctl']]) await run(seed('edge1'), ...args);
    expect(paths()).toEqual(before);
    expect(readFileSync(seed('edge1'))).toEqual(text);
  });

  it.each([[[]], [['x', '--from', 'racoon']], [['x', '--format', 'yaml']], [['x', '--json', '--format', 'swanctl']]])(
    'fails with 2 for %j',
    async (args) => {
      expect(await run(...args)).toBe(2);
      expect(terminal.stderr).toContain('error:');
    },
  );

  it('--help says that it only reads, and has examples', async () => {
    expect(await run('--help')).toBe(0);
    expect(terminal.stdout).toContain('Reads only');
    expect(terminal.stdout).toContain('agentctl import /etc/ipsec.conf --format swanctl');
  });
});

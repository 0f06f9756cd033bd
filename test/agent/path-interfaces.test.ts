import { describe, expect, it } from 'vitest';
import { PathInterfaces } from '../../src/agent/path-interfaces.ts';
import { FakeIp } from './fake-ip.ts';

const OWN = '100.96.0.4';
const RULES = [
  'rule add priority 219 from all nop protocol 74',
  'rule add priority 210 from all iif lo ipproto udp sport 500 goto 219 protocol 74',
  'rule add priority 211 from all iif lo ipproto udp sport 4500 goto 219 protocol 74',
  'rule add priority 212 from 100.96.0.4 ipproto udp dport 7447 lookup 7448 protocol 74',
  'rule add priority 213 from 100.96.0.4 ipproto udp sport 7447 lookup 7448 protocol 74',
  'rule add priority 214 from all not fwmark 0x20000000/0x20000000 lookup 7447 protocol 74',
];
const LINKS = [
  'link add name cygnet-direct type xfrm if_id 7447',
  'link set dev cygnet-direct up',
  'link add name cygnet-relay type xfrm if_id 7448',
  'link set dev cygnet-relay up',
];

function linkJson(name: string, ifId: string, ...flags: readonly string[]): unknown {
  return { ifname: name, flags, linkinfo: { info_kind: 'xfrm', info_data: { if_id: ifId } } };
}
const both = JSON.stringify([
  linkJson('cygnet-direct', '0x1d17', 'NOARP', 'UP'),
  linkJson('cygnet-relay', '0x1d18', 'NOARP', 'UP'),
]);

/** As iproute2 6.1 prints them. */
function rulesJson(own = OWN): string {
  const ours = [
    { priority: 210, src: 'all', iif: 'lo', ipproto: 'udp', sport: 500, goto: 219, protocol: '74' },
    { priority: 211, src: 'all', iif: 'lo', ipproto: 'udp', sport: 4500, goto: 219, protocol: '74' },
    { priority: 212, src: own, ipproto: 'udp', dport: 7447, table: '7448', protocol: '74' },
    { priority: 213, src: own, ipproto: 'udp', sport: 7447, table: '7448', protocol: '74' },
    { priority: 214, not: null, src: 'all', fwmark: '0x20000000', table: '7447', protocol: '74' },
    { priority: 219, src: 'all', nop: null, protocol: '74' },
  ];
  const theirs = [
    { priority: 0, src: 'all', table: 'local', protocol: 'kernel' },
    { priority: 214, src: '192.0.2.7', table: '99', protocol: 'unspec' },
  ];
  return JSON.stringify([...theirs, ...ours]);
}

describe('the XFRM interfaces of a node', () => {
  it('are made with the rules that lead to them', async () => {
    const ip = new FakeIp();
    const interfaces = new PathInterfaces(() => 0);
    expect(interfaces.areThere).toBe(false);
    await interfaces.hold(OWN);
    expect(ip.batched()).toEqual([...LINKS, ...RULES]);
    expect([interfaces.areThere, interfaces.problem]).toEqual([true, null]);
  });

  it('are left as they are when they are there, and looked at again after ten seconds', async () => {
    const ip = new FakeIp();
    ip.says({ 'link show': both, 'rule show': rulesJson() });
    let nowMs = 0;
    const interfaces = new PathInterfaces(() => nowMs);
    await interfaces.hold(OWN);
    expect(ip.batched()).toEqual([]);
    expect(interfaces.areThere).toBe(true);
    ip.says({});
    nowMs = 9999;
    await interfaces.hold(OWN);
    expect(ip.batched()).toEqual([]);
    nowMs = 10_000;
    await interfaces.hold(OWN);
    expect(ip.batched()).toEqual([...LINKS, ...RULES]);
  });

  it('are looked at at once when a route could not be set', async () => {
    const ip = new FakeIp();
    const interfaces = new PathInterfaces(() => 0);
    await interfaces.hold(OWN);
    ip.batched();
    interfaces.suspect();
    await interfaces.hold(OWN);
    expect(ip.batched()).toEqual([...LINKS, ...RULES]);
  });

  it('are set up when they are down', async () => {
    const ip = new FakeIp();
    ip.says({
      'link show': JSON.stringify([linkJson('cygnet-direct', '0x1d17'), ...JSON.parse(both).slice(1)]),
      'rule show': rulesJson(),
    });
    await new PathInterfaces(() => 0).hold(OWN);
    expect(ip.batched()).toEqual(['link set dev cygnet-direct up']);
  });

  it('have the rules of another mesh address replaced, the new ones first', async () => {
    const ip = new FakeIp();
    ip.says({ 'link show': both, 'rule show': rulesJson('100.96.0.8') });
    await new PathInterfaces(() => 0).hold(OWN);
    expect(ip.batched()).toEqual([
      RULES[3],
      RULES[4],
      'rule del priority 212 from 100.96.0.8 protocol 74',
      'rule del priority 213 from 100.96.0.8 protocol 74',
    ]);
  });

  it('are taken away with their rules, and nobody else’s are', async () => {
    const ip = new FakeIp();
    const theirs = linkJson('ipsec0', '0x1d17', 'UP');
    ip.says({ 'link show': JSON.stringify([theirs, ...JSON.parse(both)]), 'rule show': rulesJson() });
    const interfaces = new PathInterfaces(() => 0);
    await interfaces.hold(undefined);
    expect(ip.batched()).toEqual([
      'link del dev cygnet-direct',
      'link del dev cygnet-relay',
      ...[210, 211].map((priority) => `rule del priority ${priority} from all protocol 74`),
      ...[212, 213].map((priority) => `rule del priority ${priority} from 100.96.0.4 protocol 74`),
      ...[214, 219].map((priority) => `rule del priority ${priority} from all protocol 74`),
    ]);
    expect([interfaces.areThere, interfaces.problem]).toEqual([false, null]);
    ip.called();
    await interfaces.hold(undefined);
    expect(ip.called(), 'once').toEqual([]);
  });

  it('that cannot be made are a problem in words, and tried again after half a minute', async () => {
    const ip = new FakeIp();
    ip.refuses('RTNETLINK answers: Operation not supported');
    let nowMs = 0;
    const interfaces = new PathInterfaces(() => nowMs);
    await interfaces.hold(OWN);
    expect(interfaces.areThere).toBe(false);
    expect(interfaces.problem).toMatch(
      /^no XFRM interfaces, so packets may be lost .*: RTNETLINK answers: Operation not supported$/,
    );
    ip.refuses();
    nowMs = 29_999;
    await interfaces.hold(OWN);
    expect(interfaces.areThere).toBe(false);
    nowMs = 30_000;
    await interfaces.hold(OWN);
    expect([interfaces.areThere, interfaces.problem]).toEqual([true, null]);
  });

  it('that were there stay in use when they cannot be looked at', async () => {
    const ip = new FakeIp();
    let nowMs = 0;
    const interfaces = new PathInterfaces(() => nowMs);
    await interfaces.hold(OWN);
    ip.refuses('it takes too long');
    nowMs = 10_000;
    await interfaces.hold(OWN);
    expect(interfaces.areThere).toBe(true);
    expect(interfaces.problem).toContain('it takes too long');
  });

  it('are no problem on a machine without ip when none are wanted', async () => {
    const ip = new FakeIp();
    ip.says({ 'link show': 'not JSON' });
    const interfaces = new PathInterfaces(() => 0);
    await interfaces.hold(undefined);
    expect([interfaces.areThere, interfaces.problem]).toEqual([false, null]);
  });
});

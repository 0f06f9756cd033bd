import { describe, expect, it } from 'vitest';
import { initiations } from '../../../src/ike/import/load-commands.ts';
import { ipsec, messages, only, swanctl } from './memory-disk.ts';

const MEDSRV =
  'conn medsrv\n  leftid=a\n  keyexchange=ikev2\n  mobike=no\n  reauth=no\n  dpdaction=clear\n  mediation=yes\n';
const PEER =
  'conn peer\n  leftid=a\n  rightid=b\n  keyexchange=ikev2\n  mobike=no\n  reauth=no\n  keyingtries=1\n  mediated_by=medsrv\n';

const peer = (...lines: readonly string[]) =>
  ipsec(`${MEDSRV}  auto=add\n${PEER}${lines.map((line) => `  ${line}\n`).join('')}`);

describe('a mediation connection', () => {
  it('has no children, and is unique', () => {
    const config = ipsec(`config setup\n  uniqueids=no\n${MEDSRV}  auto=add\n`);
    expect(only(config)).toMatchObject({
      mediation: { kind: 'mediation', start: false },
      ike: { unique: 'replace' },
      children: [],
    });
    expect(messages(config)).toEqual([]);
  });

  it('that is started tells how, since charon does not do it on loading', () => {
    const config = ipsec(`${MEDSRV}  auto=start\n`);
    expect(initiations(config)).toEqual([{ ike: 'medsrv' }]);
    expect(messages(config)).toEqual([expect.stringContaining('run swanctl --initiate --ike medsrv')]);
  });

  it('without liveness checks, identity, IKEv2 or with MOBIKE is warned of', () => {
    const config = ipsec('conn medsrv\n  keyexchange=ikev1\n  mediation=yes\n  reauth=no\n  auto=start\n');
    expect(only(config).ike).toMatchObject({ version: 2, mobike: false });
    expect(messages(config).map((message) => message.slice(0, 32))).toEqual([
      '1: medsrv: name the own identity',
      '1: medsrv: without liveness chec',
      '1: medsrv: swanctl.conf cannot s',
      '1: medsrv: mobike is turned off,',
      '1: medsrv: mediation exists for ',
    ]);
  });
});

describe('a mediated connection', () => {
  const settled = (config: ReturnType<typeof ipsec>) => config.connections.find(({ name }) => name === 'peer');

  it('always names the peer at the mediator: me_peerid, or else the identity', () => {
    expect(settled(peer('auto=add'))?.mediation).toEqual({ kind: 'mediated', by: 'medsrv', peer: 'b' });
    expect(settled(peer('auto=add', 'me_peerid=c'))?.mediation).toMatchObject({ peer: 'c' });
    expect(messages(peer('auto=add'))).toEqual([]);
  });

  it('without either is left out, since charon 5.9.8 crashes on it', () => {
    const config = peer('auto=add', 'rightid=%any');
    expect(settled(config)).toBeUndefined();
    expect(messages(config)[0]).toMatch(/^9: peer is left out: .* charon would crash/);
  });

  it('is started after its mediation connection, and from one end only', () => {
    const config = peer('auto=start');
    expect(initiations(config)).toEqual([{ ike: 'peer', child: 'peer', after: 'medsrv' }]);
    expect(messages(config)).toEqual([
      expect.stringMatching(/start it from one end only .*; and only while medsrv is up/),
    ]);
  });

  it.each([
    ['reauth=yes', /rekeys instead of reauthenticating/],
    ['keyingtries=3', /is tried once/],
    ['right=192.0.2.1', /the peer's address 192.0.2.1 is left out/],
    ['dpdaction=restart', /does not come back by itself/],
    ['closeaction=restart', /does not come back by itself/],
    ['mobike=yes', /mobike is turned off/],
  ])('with %s is warned of, and does not do it', (line, message) => {
    const config = peer('auto=add', line);
    expect(messages(config).filter((text) => !text.includes('was set at'))).toEqual([expect.stringMatching(message)]);
    expect(settled(config)).toMatchObject({
      ike: { rekeySeconds: 10_260, reauthSeconds: 0, keyingTries: 1, mobike: false },
      remote: { addresses: [] },
      children: [{ dpdAction: 'none', closeAction: 'none', startAction: 'none' }],
    });
  });

  it('cannot wait for traffic', () => {
    const config = peer('auto=route');
    expect(settled(config)?.children[0]?.startAction).toBe('none');
    expect(messages(config)).toEqual([expect.stringContaining('cannot wait for traffic')]);
  });

  it('needs its mediation connection', () =>
    expect(messages(ipsec(`${PEER}  auto=add\n`))).toEqual([
      '1: peer: there is no mediation connection medsrv; it can never be set up without',
    ]));

  it('is not a mediation connection as well', () => {
    const config = peer('auto=add', 'mediation=yes');
    expect(settled(config)).toBeUndefined();
    expect(messages(config)).toEqual([expect.stringContaining('exclude each other')]);
  });
});

it('holds for swanctl.conf as well', () => {
  const config = swanctl(`connections {
    medsrv { version = 2
      mobike = no
      mediation = yes
      dpd_delay = 10s
      local { id = a }
      children { any { start_action = start } } }
    peer { version = 2
      mobike = no
      mediated_by = medsrv
      remote_addrs = 192.0.2.1
      local { id = a }
      remote { id = b }
      children { net { dpd_action = restart } } }
  }`);
  expect(config.connections).toMatchObject([
    { mediation: { kind: 'mediation', start: true }, children: [] },
    {
      mediation: { kind: 'mediated', by: 'medsrv', peer: 'b' },
      remote: { addresses: [] },
      children: [{ dpdAction: 'none' }],
    },
  ]);
  expect(messages(config)).toHaveLength(3);
});

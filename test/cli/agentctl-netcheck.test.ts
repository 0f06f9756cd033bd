import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { netCheckSchema, type NatKind, type NetCheck } from '../../src/agent/api.ts';
import { LocalRefusal, serveLocalApi } from '../../src/agent/local-server.ts';
import { agentctl } from '../../src/cli/agentctl.ts';
import { renderNetCheck } from '../../src/cli/agentctl-netcheck.ts';
import { netCheckAdvice } from '../../src/cli/netcheck-advice.ts';
import { styleFor } from '../../src/cli/style.ts';
import { createLogger } from '../../src/log.ts';
import { fullStatus } from '../agent/full-status.ts';
import { blockedCheck, CHECKED_AT_MS, checkedTarget, coneCheck } from '../agent/netcheck/checks.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';
import { FakeTerminal } from './fake-terminal.ts';
import { pingResult } from '../agent/ping-result.ts';

let terminal: FakeTerminal;
beforeEach(() => {
  terminal = new FakeTerminal();
});

/** Runs agentctl against an agent that finds this. */
async function run(found: () => Promise<NetCheck>, ...args: readonly string[]): Promise<number> {
  const socket = join(temporaryFolder(), 'agent.sock');
  const handlers = {
    status: () => Promise.resolve(fullStatus()),
    keptEvents: () => [],
    followEvents: async function* () {},
    enroll: () => Promise.reject(new Error('not expected')),
    netCheck: found,
    renew: () => Promise.resolve({ certificates: [] }),
    ping: () => Promise.resolve(pingResult()),
    reconnect: () => Promise.reject(new Error('not expected')),
  };
  const agent = await serveLocalApi(socket, handlers, createLogger('test', 'silent'));
  onTestFinished(() => agent[Symbol.asyncDispose]());
  return await agentctl(['--socket', socket, 'netcheck', ...args], terminal);
}

describe('agentctl netcheck', () => {
  it('shows what was found, and exits with 0', async () => {
    expect(await run(() => Promise.resolve(coneCheck()))).toBe(0);
    expect(terminal.stdout).toContain('NAT:     cone\n');
    expect(terminal.stderr).toMatch(/^asking mediators and hubs, up to 6 s \.*\n$/);
  });

  it('--json is one line, what the published schema says, and nothing else', async () => {
    expect(await run(() => Promise.resolve(coneCheck()), '--json')).toBe(0);
    expect(terminal.stdout.split('\n')).toHaveLength(2);
    expect(netCheckSchema.strict().parse(JSON.parse(terminal.stdout))).toEqual(coneCheck());
    expect(terminal.stderr).toBe('');
  });

  it.each([[[]], [['--json']]])('exits with 1 when nothing can work, and still shows it (%j)', async (args) => {
    expect(await run(() => Promise.resolve(blockedCheck()), ...args)).toBe(1);
    expect(terminal.stdout).toContain('blocked');
    expect(terminal.stderr).toContain('agentctl: no mediator and no hub can be used from here');
  });

  it('passes on why there is nothing to check', async () => {
    const refusal = new LocalRefusal(409, 'no-targets', 'there is nothing to ask');
    expect(await run(() => Promise.reject(refusal))).toBe(1);
    expect(terminal.stderr).toContain('agentctl: there is nothing to ask\n');
  });
});

describe('the report', () => {
  const plain = styleFor({}, {});
  const render = (check: NetCheck): string => renderNetCheck(check, plain, CHECKED_AT_MS + 4000);

  it('reads so', () =>
    expect(render(coneCheck())).toBe(`\
NAT:     cone
checked: 4 s ago

TARGET   ADDRESS       FROM               SEEN AS             UDP 500  UDP 4500  MTU
master1  203.0.113.10  192.168.1.2:40000  203.0.113.21:40000  yes      yes       1500

what this means:
  - the NAT shows every destination the same endpoint: hole punching works, unless the NAT of the peer is symmetric
`));

  it('shows each endpoint under which a symmetric NAT presents this node', () => {
    const reflexive = [7445, 7446].map((port) => ({
      reflectorPort: port,
      endpoint: { address: '2001:db8::21', port },
    }));
    const check = coneCheck({ natKind: 'symmetric', targets: [checkedTarget({ reflexive })] });
    expect(render(check)).toContain('[2001:db8::21]:7445, [2001:db8::21]:7446');
  });

  it('has a line for a target that cannot even be asked', () => {
    const unknown = { address: null, local: null, reflexive: [], ike500: false, ike4500: false, mtu: null };
    const check = coneCheck({ natKind: 'blocked', targets: [checkedTarget({ host: 'hub.example', ...unknown })] });
    expect(render(check)).toContain('master1  hub.example        no answer  no       no        ?\n');
    expect(render(check)).toContain('the name hub.example cannot be resolved');
  });

  it('lets nothing from elsewhere move the cursor', () =>
    expect(render(coneCheck({ targets: [checkedTarget({ node: 'a\u001B[2J', ike500: false })] }))).not.toContain(
      '\u001B',
    ));

  it('says the same in colour', () => {
    const colour = styleFor({ isTTY: true }, {});
    for (const check of [coneCheck(), blockedCheck()]) {
      const coloured = renderNetCheck(check, colour, CHECKED_AT_MS + 4000);
      expect(coloured).not.toBe(render(check));
      // eslint-disable-next-line no-control-regex
      expect(coloured.replaceAll(/\u001B\[\d+m/g, '')).toBe(render(check));
    }
  });
});

describe('the advice', () => {
  it.each<[NatKind, RegExp]>([
    ['none', /no NAT/],
    ['cone', /hole punching works/],
    ['symmetric', /stays on the hub; make the router keep source ports/],
    ['blocked', /let UDP 500 and 4500 out/],
    ['unknown', /reflectorPorts/],
  ])('begins with the kind of NAT: %s', (natKind, words) =>
    expect(netCheckAdvice(coneCheck({ natKind }))[0]).toMatch(words),
  );

  it.each<[string, Parameters<typeof checkedTarget>[0], RegExp]>([
    ['no route', { local: null }, /^master1: there is no route to 203/],
    ['no IKE', { ike500: false, ike4500: false }, /whether strongSwan runs there/],
    ['no port 500', { ike500: false }, /^master1: UDP 500 does not get through/],
    ['no port 4500', { ike4500: false }, /^master1: UDP 4500 does not get through, where IKE and ESP go/],
    ['a narrow way', { mtu: 1380 }, /clamp the TCP MSS to 1260, or set the MTU behind the tunnel to 1300/],
    ['a very narrow way', { mtu: null }, /packets of 1280 bytes do not get through/],
  ])('says what to do about %s', (_what, change, words) =>
    expect(netCheckAdvice(coneCheck({ targets: [checkedTarget(change)] }))).toEqual([
      expect.any(String),
      expect.stringMatching(words),
    ]),
  );

  it('does not repeat for each target that all is blocked', () =>
    expect(netCheckAdvice(blockedCheck())).toHaveLength(1));

  it('does not mind a closed port 4500 without a NAT', () =>
    expect(netCheckAdvice(coneCheck({ natKind: 'none', targets: [checkedTarget({ ike4500: false })] }))[1]).toContain(
      'no harm',
    ));
});

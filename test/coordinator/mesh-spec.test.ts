import { describe, expect, it } from 'vitest';
import { mistakesIn, SEED_SPEC, specOf } from './spec-builders.ts';

describe('a mesh spec', () => {
  it('is complete after reading: defaults, durations in seconds, endpoints as a list', () => {
    const spec = specOf(SEED_SPEC);
    expect([...spec.nodes.keys()]).toEqual(['master1', 'edge1', 'remote']);
    expect(spec.nodes.get('master1' as never)).toMatchObject({ endpoints: ['203.0.113.10'], virtualIps: [] });
    expect(spec.links[0]).toEqual({ between: ['edge1', 'remote'], path: 'auto', child: {} });
    expect(spec.defaults).toEqual({
      ike: { proposals: [], lifetime: 3600, margin: 180, keyingTries: 1, mobike: false, encap: true, dpdDelay: 10 },
      child: { proposals: [], lifetime: 1200, margin: 180 },
      start: 'start',
    });
  });

  it('may be JSON', () => {
    const json = JSON.stringify({
      nodes: {
        a: { subnets: ['10.1.0.0/16'] },
        h: { roles: ['hub'], endpoint: 'h.example', subnets: ['10.2.0.0/16'] },
      },
      links: [{ between: ['a', 'h'], start: 'add', child: { lifetime: '30m' } }],
    });
    expect(specOf(json).links).toEqual([
      { between: ['a', 'h'], path: 'auto', start: 'add', child: { lifetime: 1800 } },
    ]);
  });

  it('may call a node what JavaScript calls its own', () => {
    const text =
      'nodes:\n  h: {roles: [hub], endpoint: 192.0.2.1, subnets: [10.0.0.0/24]}\nlinks: [[h, constructor]]\n';
    expect(mistakesIn(text)).toEqual(['line 3: links[0]: unknown node "constructor"']);
  });
});

const HUB = '  h: { roles: [hub], endpoint: 192.0.2.1, subnets: [10.0.0.0/24] }';
const A = '  a: { subnets: [10.0.1.0/24] }';
const B = '  b: { subnets: [10.0.2.0/24] }';
const MEDIATOR = '  m: { roles: [mediator], endpoint: 192.0.2.2, subnets: [10.0.3.0/24] }';

function spec(nodes: readonly string[], ...rest: readonly string[]): string {
  return ['nodes:', ...nodes, ...rest].join('\n');
}

describe('a mistake in a mesh spec is told with its line:', () => {
  it.each<[string, string, string]>([
    [
      'unknown node',
      spec([HUB, A], 'links:', '  - [a, h]', '  - [a, egde1]'),
      'line 6: links[1]: unknown node "egde1"',
    ],
    ['a group twice', spec([HUB, '  a: { groups: [x, y, x] }']), 'line 3: nodes.a.groups: the same group twice'],
    [
      'a group’s name',
      spec([HUB, '  a: { groups: [Edges] }']),
      'line 3: nodes.a.groups[0]: lower case letters, digits and inner "-", at most 63',
    ],
    ['link to itself', spec([A], 'links:', '  - [a, a]'), 'line 4: links[0]: links "a" with itself'],
    [
      'the same link again',
      spec([HUB, A, B], 'links:', '  - [a, b]', '  - [b, a]'),
      'line 7: links[1]: links "b" and "a" again, after links[0]',
    ],
    [
      'overlapping subnets',
      spec([A, '  c: { subnets: [192.168.0.0/16, 10.0.0.0/8] }']),
      'line 2: nodes.a.subnets[0]: 10.0.1.0/24 overlaps 10.0.0.0/8 of node "c"',
    ],
    [
      'hub without an endpoint',
      spec(['  h: { roles: [hub] }']),
      'line 2: nodes.h: a hub needs an endpoint: the address that others reach it at',
    ],
    [
      'no hub and no mediator',
      spec([A, B], 'links:', '  - [a, b]'),
      'line 5: links[0]: needs a node with the role hub (to relay) or mediator (for a direct path), and there is none that can',
    ],
    [
      'direct without a mediator',
      spec([HUB, A, B], 'links:', '  - { between: [a, b], path: direct }'),
      'line 6: links[0]: path direct needs a node with the role mediator',
    ],
    [
      'relay without a hub',
      spec([MEDIATOR, A, B], 'links:', '  - { between: [a, b], path: relay }'),
      'line 6: links[0]: path relay needs a node with the role hub',
    ],
    [
      'a direct path to a mediator that is no hub',
      spec([HUB, MEDIATOR, A], 'links:', '  - { between: [a, m], path: direct }'),
      'line 6: links[0]: a mediator cannot have a direct path through itself; give it the role hub, or the link path auto',
    ],
    [
      'relay to a hub',
      spec([HUB, A], 'links:', '  - { between: [a, h], path: relay }'),
      'line 5: links[0]: a link to a hub is direct: there is nothing to relay it',
    ],
    [
      'host bits in a subnet',
      spec(['  a: { subnets: [10.0.1.1/24] }']),
      'line 2: nodes.a.subnets[0]: not a network in CIDR form (such as 10.1.0.0/24, no host bits): 10.0.1.1/24',
    ],
    [
      'nothing to link',
      spec([HUB, '  c: {}'], 'links:', '  - [c, h]', 'meshRange: "off"'),
      'line 5: links[0]: node "c" has no subnets to link, and no mesh address',
    ],
    [
      'margins that leave no lifetime',
      spec([A], 'defaults:', '  child: { lifetime: 6m, margin: 3m }'),
      'line 4: defaults.child: the lifetime (360s) must be more than twice the margin (180s)',
    ],
    [
      'a link whose own lifetime is too short for the default margin',
      spec([HUB, A], 'links:', '  - { between: [a, h], child: { lifetime: 1m } }'),
      'line 5: links[0].child: the lifetime (60s) must be more than twice the margin (180s)',
    ],
    [
      'an address with a slip',
      spec(['  h: { roles: [hub], endpoint: 203.0.113.300 }']),
      'line 2: nodes.h.endpoint: not an address or a host name: 203.0.113.300',
    ],
    [
      'two ways to say endpoint',
      spec(['  h: { endpoint: 192.0.2.1, endpoints: [192.0.2.2] }']),
      'line 2: nodes.h: has both endpoint and endpoints; write one of them',
    ],
    [
      'a duration that is none',
      spec([A], 'defaults: { ike: { dpdDelay: soon } }'),
      'line 3: defaults.ike.dpdDelay: not a duration such as 30s, 20m or 1h, at most 7d: soon',
    ],
    ['a misspelt field', spec(['  a: { subnet: [10.0.1.0/24] }']), 'line 2: nodes.a.subnet: there is no such field'],
    ['three ends', spec([HUB, A, B], 'links: [[a, b, h]]'), 'line 5: links[0].between: a link has two node names'],
    [
      'a bad node name',
      spec(['  Edge_1: {}']),
      'line 2: nodes.Edge_1: bad name: lower case letters, digits and single "-", at most 63',
    ],
  ])('%s', (_what, text, expected) => {
    expect(mistakesIn(text)).toEqual([expected]);
  });

  it('all of them at once', () => {
    expect(mistakesIn(spec([A, '  c: {}'], 'links:', '  - [a, x]', '  - [c, y]', '  - [a, a]'))).toHaveLength(3);
  });

  it('names that are too long for a child of their own', () => {
    const [long, longer] = ['a'.repeat(62), 'b'.repeat(63)];
    const text = spec(
      [HUB, `  ${long}: { subnets: [10.0.1.0/24] }`, `  ${longer}: { subnets: [10.0.2.0/24] }`],
      `links: [[${long}, ${longer}]]`,
    );
    expect(mistakesIn(text)).toEqual(['line 5: links[0]: the two names are longer than 119 characters together']);
  });

  it('a lifetime of 0 means never, whatever the margin', () => {
    expect(mistakesIn(spec([A], 'defaults: { child: { lifetime: 0 } }'))).toEqual([]);
  });
});

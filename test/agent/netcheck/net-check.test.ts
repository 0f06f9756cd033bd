import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { netCheckSchema, networkCauseOf, type NetCheck } from '../../../src/agent/netcheck/net-check.ts';
import { blockedCheck, checkedTarget, coneCheck } from './checks.ts';

const published = new URL('../../../docs/schemas/agent-netcheck.schema.json', import.meta.url);

it('the published schema of `agentctl netcheck --json` is the one in force (UPDATE_SCHEMAS=1 writes it)', () => {
  const schema = z.toJSONSchema(netCheckSchema, { io: 'output' });
  if (process.env['UPDATE_SCHEMAS'] === '1') writeFileSync(published, `${JSON.stringify(schema, null, 2)}\n`);
  expect(JSON.parse(readFileSync(published, 'utf8'))).toEqual(schema);
});

const only500 = [checkedTarget({ ike4500: false })];

it.each<[string, NetCheck, string | undefined]>([
  ['nothing in the way', coneCheck(), undefined],
  ['a symmetric NAT', coneCheck({ natKind: 'symmetric' }), 'symmetric-nat'],
  ['no answer', blockedCheck(), 'udp-blocked'],
  ['no port 4500 behind a NAT', coneCheck({ targets: only500 }), 'udp-blocked'],
  ['no port 4500 without a NAT', coneCheck({ natKind: 'none', targets: only500 }), undefined],
  ['no port 500', coneCheck({ targets: [checkedTarget({ ike500: false })] }), 'udp-blocked'],
  ['one good target of two', coneCheck({ targets: [...blockedCheck().targets, checkedTarget()] }), undefined],
])('the cause with %s', (_what, check, cause) => expect(networkCauseOf(check)).toBe(cause));

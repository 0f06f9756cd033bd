import { readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { statusSchema } from '../../src/agent/api.ts';

const published = new URL('../../docs/schemas/agent-status.schema.json', import.meta.url);

it('the published schema of `agentctl status --json` is the one in force (UPDATE_SCHEMAS=1 writes it)', () => {
  const schema = z.toJSONSchema(statusSchema, { io: 'output' });
  if (process.env['UPDATE_SCHEMAS'] === '1') writeFileSync(published, `${JSON.stringify(schema, null, 2)}\n`);
  expect(JSON.parse(readFileSync(published, 'utf8'))).toEqual(schema);
});

import { createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { CompiledProofs } from './compiled.ts';
import { formsOfKey, leaksIn, secretsThatLeaked } from './secrets.ts';

describe('the search for secrets', () => {
  it('finds a key in every form that it could have', async () => {
    const pem = await generatePrivateKey('ecdsa-p256');
    const { d = '' } = createPrivateKey(pem).export({ format: 'jwk' });
    const raw = Buffer.from(d, 'base64url');
    const forms = new Map([['key', formsOfKey(pem)]]);
    for (const text of [pem, JSON.stringify({ pem }), raw.toString('hex'), raw.toString('base64'), d]) {
      expect(leaksIn(forms, new Map([['log', [Buffer.from(`x${text}y`)]]]))).toEqual(['key in log']);
    }
    const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
    expect(leaksIn(forms, new Map([['frames', [Buffer.from('x'), der]]]))).toEqual(['key in frames']);
    expect(leaksIn(forms, new Map([['log', [Buffer.from(await generatePrivateKey('ecdsa-p256'))]]]))).toEqual([]);
  });

  it('finds none after a node has lived from its token to its tunnels', { timeout: 120_000 }, async () => {
    await using compiled = await CompiledProofs.make();
    const { cases, wrong } = await secretsThatLeaked(compiled.bin('agentctl'));
    expect(wrong).toEqual([]);
    expect(cases).toBeGreaterThan(30);
  });
});

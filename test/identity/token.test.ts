import { describe, expect, it } from 'vitest';
import { createToken, hashTokenSecret, parseToken, tokenHashesMatch, tokenIdOf } from '../../src/identity/token.ts';

const PIN = 'fb'.repeat(32);

describe('an enrolment token', () => {
  it('carries a new secret and the pin', () => {
    const [one, other] = [parseToken(createToken(PIN)), parseToken(createToken(PIN))];
    expect(one.caPin).toBe(PIN);
    expect(other.caPin).toBe(PIN);
    expect(one.secret).not.toBe(other.secret);
    expect(Buffer.from(one.secret, 'base64url')).toHaveLength(32);
  });

  it('may be pasted with blanks around it', () => {
    const token = createToken(PIN);
    expect(parseToken(` ${token}\n`)).toEqual(parseToken(token));
  });

  it.each([
    ['', 'empty'],
    ['hello', 'must begin with "cyg1."'],
    ['cyg2.a.b', 'must begin with "cyg1."'],
    [createToken(PIN).slice(0, -1), 'incomplete or damaged'],
    [`${createToken(PIN)}x`, 'incomplete or damaged'],
    [createToken(PIN).replace(/.$/, '='), 'incomplete or damaged'],
  ])('is refused as %j', (text, message) => {
    expect(() => parseToken(text)).toThrow(expect.objectContaining({ code: 'bad-token' }));
    expect(() => parseToken(text)).toThrow(message);
  });

  it('is never quoted in an error', () => {
    const token = createToken(PIN);
    const secret = token.split('.')[1]!;
    for (const damaged of [token.slice(0, -1), token.slice(5)]) {
      expect(() => parseToken(damaged)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining(secret) }),
      );
    }
  });

  it('is recognised by the hash that is stored of it', () => {
    const { secret } = parseToken(createToken(PIN));
    const hash = hashTokenSecret(secret);
    expect(hash.startsWith(tokenIdOf(hash))).toBe(true);
    expect(tokenHashesMatch(hash, hashTokenSecret(secret))).toBe(true);
    expect(tokenHashesMatch(hash, hashTokenSecret(`${secret}x`))).toBe(false);
    expect(tokenHashesMatch(hash, '')).toBe(false);
  });
});

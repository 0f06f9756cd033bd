import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { identitySchema } from '../../src/ike/connection.ts';
import {
  mediationIdentity,
  mediationWildcard,
  parseSubject,
  tunnelIdentity,
  tunnelWildcard,
} from '../../src/identity/names.ts';
import { SUBJECT } from './mesh.ts';

const badName = expect.objectContaining({ code: 'bad-name' });

describe('the mediation identity', () => {
  it("is the subject with the node's name as CN", () => {
    expect(mediationIdentity(SUBJECT, 'edge1')).toBe('C=CN, O=Local Cluster, CN=edge1');
  });

  it('comes out in one spelling, however the operator spaced the subject', () => {
    expect(mediationIdentity('C=CN,O = Local Cluster ', 'edge1')).toBe(mediationIdentity(SUBJECT, 'edge1'));
  });

  it('has a wildcard for all nodes', () => {
    expect(mediationWildcard(SUBJECT)).toBe('C=CN, O=Local Cluster, CN=*');
    expect(tunnelWildcard('mesh.example')).toBe('*.mesh.example');
  });

  it('fits a desired state at its longest', () => {
    const subject = Array.from({ length: 3 }, () => `OU=${'x'.repeat(55)}`).join(', ');
    expect(identitySchema.parse(mediationIdentity(subject, 'n'.repeat(63)))).toBeDefined();
  });
});

describe('a subject', () => {
  it.each(['C=CN', 'O=Example (Berlin) Ltd.', 'C=DE, ST=Berlin, L=Berlin, O=A-B, OU=1'])('may be %s', (subject) => {
    expect(mediationIdentity(subject, 'a')).toBe(`${subject}, CN=a`);
  });

  it.each([
    '',
    'O=',
    'O',
    'C=CN,,O=x',
    'CN=edge1',
    'o=x',
    'C=cn',
    'C=CHN',
    'O="x"',
    'O=a+OU=b',
    'O=a/CN=b',
    'O=a=b',
    'O=a\\,CN=b',
    'O=名',
    'O=*',
    'O=a\nb',
    'E=a@b.example',
    `O=${'x'.repeat(65)}`,
    Array.from({ length: 40 }, () => 'O=abc').join(', '),
  ])('may not be %j', (subject) => {
    expect(() => parseSubject(subject)).toThrow(badName);
  });

  it('says which part is wrong', () => {
    expect(() => parseSubject('C=CN, X=1')).toThrow('"X=1" is not TYPE=value');
    expect(() => parseSubject('C=CN, O=a_b')).toThrow('the value of O must be');
  });

  it('is read back as it was written, or refused', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (value) => {
        let rdns;
        try {
          rdns = parseSubject(`O=${value}`);
        } catch (error) {
          expect(error).toEqual(badName);
          return;
        }
        expect(rdns).toEqual([{ type: 'O', value: value.trim() }]);
      }),
    );
  });
});

describe('the tunnel identity', () => {
  it("is the node's name in the mesh's domain", () => {
    expect(tunnelIdentity('mesh.example', 'edge1')).toBe('edge1.mesh.example');
    expect(tunnelIdentity('office', 'edge1')).toBe('edge1.office');
  });

  it.each(['', 'Mesh', 'a..b', '.a', 'a.', '-a', 'a_b', '1', '2.3.4', 'x'.repeat(53)])('has no mesh %j', (mesh) => {
    expect(() => tunnelIdentity(mesh, '1')).toThrow(badName);
  });

  it.each(['', 'Edge', 'a.b', '-a', 'a-', '*', 'a,CN=b', 'x'.repeat(64)])('has no node %j', (node) => {
    expect(() => tunnelIdentity('mesh.example', node)).toThrow(badName);
    expect(() => mediationIdentity(SUBJECT, node)).toThrow(badName);
  });
});

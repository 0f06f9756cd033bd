import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { readToken } from '../../src/cli/enrolment-token.ts';
import { temporaryFolder } from '../agent/temporary-folder.ts';

const badInput = (message: RegExp) =>
  expect.objectContaining({ code: 'bad-input', message: expect.stringMatching(message) });

describe('a token in a credential of systemd', () => {
  const environment = { CREDENTIALS_DIRECTORY: '' };

  beforeEach(() => {
    environment.CREDENTIALS_DIRECTORY = temporaryFolder();
    writeFileSync(join(environment.CREDENTIALS_DIRECTORY, 'token'), 'cyg1.a.b\n', { mode: 0o400 });
  });

  it('is read from the folder that systemd names', () => {
    const found = readToken({ tokenCredential: 'token' }, environment);
    expect(found).toEqual({ token: 'cyg1.a.b', warning: undefined });
  });

  it('is bad input outside of a service, and when there is none of that name', () => {
    expect(() => readToken({ tokenCredential: 'token' }, {})).toThrow(badInput(/LoadCredential=/));
    expect(() => readToken({ tokenCredential: 'other' }, environment)).toThrow(badInput(/ENOENT/));
  });

  it.each(['../token', '/etc/shadow', '..', '.hidden', ''])(
    'is never looked for outside of it: %j',
    (tokenCredential) => {
      expect(() => readToken({ tokenCredential }, environment)).toThrow(badInput(/not the name of a credential/));
    },
  );
});

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { restartService, SERVICE_NAME } from '../../src/agent/systemctl.ts';
import { temporaryFolder } from './temporary-folder.ts';

/** A systemctl that does what the lines of shell say. */
function systemctl(script: string): string {
  const path = join(temporaryFolder(), 'systemctl');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe('restarting a service', () => {
  it('asks systemd, neither waiting for the end nor for a password', async () => {
    const asked = join(temporaryFolder(), 'asked');
    await restartService('strongswan.service', systemctl(`echo "$@" > ${asked}`));
    expect(readFileSync(asked, 'utf8')).toBe('--no-ask-password --no-block restart strongswan.service\n');
  });

  it.each([
    [
      'in the words of systemctl, on one line',
      'echo "Failed:\n\tAccess denied" >&2; exit 4',
      /^Failed: Access denied$/,
    ],
    ['at most a few hundred characters of them', 'head -c 9000 /dev/zero | tr "\\0" x >&2; exit 1', /^x{300}$/],
    ['when it writes without end', 'yes', /maxBuffer/],
  ])('is refused %s', async (_what, script, reason) =>
    expect(restartService('strongswan.service', systemctl(script))).rejects.toThrow(reason),
  );

  it('is refused when there is no systemctl', async () =>
    expect(restartService('strongswan.service', '/nowhere/systemctl')).rejects.toThrow(/ENOENT/));
});

describe('the name of a service', () => {
  it.each(['strongswan.service', 'strongswan-starter.service', 'charon@one.service', 'a:b_c.service'])('%s', (name) =>
    expect(name).toMatch(SERVICE_NAME),
  );

  it.each([
    '',
    'strongswan',
    '.service',
    '-H.service',
    '--host=x.service',
    '../strongswan.service',
    '/etc/systemd/system/x.service',
    'a b.service',
    'a;reboot.service',
    '*.service',
    'poweroff.target',
    'a.service\n',
    `${'a'.repeat(250)}.service`,
  ])('is never %j', (name) => expect(name).not.toMatch(SERVICE_NAME));
});

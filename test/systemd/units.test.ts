import { cpSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeStaging, outcomeOf } from './staged-install.ts';

const EXPOSURE_MAX = 2;

/** The unit's own settings, without comments. */
const settingsOf = (role: string): string =>
  readFileSync(`systemd/cygnet-${role}.service`, 'utf8').replaceAll(/^#.*\n/gm, '');

describe.each(['agent', 'coordinator'])('cygnet-%s.service', (role) => {
  it('has nothing that systemd complains about, once installed', async () => {
    using staging = makeStaging();
    await staging.install(role);
    // Every service wants these; they are not part of what is installed.
    const units = join(staging.root, 'usr/lib/systemd/system');
    for (const target of ['sysinit', 'basic', 'shutdown', 'multi-user', 'network-online', 'network']) {
      cpSync(`/usr/lib/systemd/system/${target}.target`, join(units, `${target}.target`));
    }
    const verify = ['verify', `--root=${staging.root}`, `cygnet-${role}.service`];
    expect(await outcomeOf('systemd-analyze', verify)).toEqual({ exitCode: 0, stdout: '', stderr: '' });
  });

  it(`is exposed to at most ${EXPOSURE_MAX} of 10`, async () => {
    const unit = `systemd/cygnet-${role}.service`;
    const { stdout } = await outcomeOf('systemd-analyze', ['security', '--offline=true', '--no-pager', unit]);
    const exposure = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout)?.[1];
    expect(Number(exposure)).toBeLessThanOrEqual(EXPOSURE_MAX);
  });

  it('is not tried again with a configuration that is wrong', () => {
    expect(settingsOf(role)).toContain('RestartPreventExitStatus=2\n');
  });
});

describe('the agent and strongSwan', () => {
  it('never stop or restart each other', () => {
    const ties = settingsOf('agent').match(/^\w+=.*strongswan.*$/gm);
    expect(ties).toEqual([
      'Wants=network-online.target strongswan.service',
      'After=network-online.target strongswan.service',
    ]);
  });

  it('meet at the group that charon gives its socket to', () => {
    const group = /^ {2}group = (\S+)$/m.exec(readFileSync('systemd/strongswan-cygnet.conf', 'utf8'))?.[1];
    expect(group).toBeDefined();
    expect(settingsOf('agent')).toContain(`SupplementaryGroups=${group}\n`);
    expect(readFileSync('systemd/cygnet-agent.sysusers', 'utf8')).toContain(`\ng ${group} `);
  });
});

describe('the address families of a unit', () => {
  it.each(['agent', 'coordinator'])('let the %s list network interfaces if it does', (role) => {
    const folder = `src/${role}`;
    const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
    const listsInterfaces = sources.some((name) =>
      readFileSync(join(folder, name), 'utf8').includes('networkInterfaces'),
    );
    expect(/^RestrictAddressFamilies=.*AF_NETLINK/m.test(settingsOf(role))).toBe(listsInterfaces);
  });
});

import { appendFileSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { readAgentConfig } from '../../src/agent/config.ts';
import { makeStaging, outcomeOf, type Staging } from './staged-install.ts';

/** All files and links below a folder with what is in them, so that two states of it can be compared. */
function contentOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { ino, mtimeMs, mode } = lstatSync(join(folder, name));
      return `${name} ${ino} ${mtimeMs} ${mode.toString(8)}`;
    });
}

const filesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
    .sort();

describe('scripts/install', () => {
  it('puts the agent, its unit, its user and the strongSwan settings in place', async () => {
    using staging = makeStaging();
    expect(await staging.install('agent')).toMatchObject({ exitCode: 0, stderr: '' });
    const files = filesIn(staging.root).filter((file) => !file.startsWith('/usr/lib/cygnet.releases/'));
    expect(files).toEqual([
      '/etc/cygnet/agent.yaml',
      '/etc/strongswan.d/cygnet.conf',
      '/usr/bin/agentctl',
      '/usr/bin/cygnet-agent',
      '/usr/lib/cygnet',
      '/usr/lib/systemd/system/cygnet-agent.service',
      '/usr/lib/sysusers.d/cygnet-agent.conf',
    ]);
  });

  it('makes the programs executable where the links in /usr/bin lead', async () => {
    using staging = makeStaging();
    await staging.install('coordinator');
    expect(await outcomeOf(join(staging.root, 'usr/bin/meshctl'), [])).toMatchObject({ stdout: 'meshctl\n' });
  });

  it('changes nothing when it runs again, and says so', async () => {
    using staging = makeStaging();
    await staging.install('agent');
    const before = contentOf(staging.root);
    const second = await staging.install('agent');
    expect(second.stdout).toContain('Nothing had to be changed.');
    expect(second.stdout).not.toContain('installed');
    expect(contentOf(staging.root)).toEqual(before);
  });

  it('gives the agent a configuration that it takes', async () => {
    using staging = makeStaging();
    await staging.install('agent');
    const config = readAgentConfig(join(staging.root, 'etc/cygnet/agent.yaml'));
    expect(config.stateDir).toBe('/var/lib/cygnet-agent');
  });

  it('leaves the configuration that an operator has changed', async () => {
    using staging = makeStaging();
    await staging.install('agent');
    const file = join(staging.root, 'etc/cygnet/agent.yaml');
    writeFileSync(file, 'logLevel: debug\n');
    await staging.install('agent');
    expect(readFileSync(file, 'utf8')).toBe('logLevel: debug\n');
  });

  describe('makes the agent a member of the group that may look', () => {
    const dropIn = 'usr/lib/systemd/system/cygnet-agent.service.d/read-group.conf';

    async function installedWith(staging: Staging, line: string): Promise<string | undefined> {
      mkdirSync(join(staging.root, 'etc/cygnet'), { recursive: true });
      writeFileSync(join(staging.root, 'etc/cygnet/agent.yaml'), `logLevel: info\n${line}\n`);
      expect(await staging.install('agent')).toMatchObject({ exitCode: 0, stderr: '' });
      const file = join(staging.root, dropIn);
      return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(1).join('\n') : undefined;
    }

    it.each(['readGroup: adm', 'readGroup:   adm  # for monitoring', 'readGroup: "adm"', "readGroup: 'adm'"])(
      'as agent.yaml has it: %s',
      async (line) => {
        using staging = makeStaging();
        expect(await installedWith(staging, line)).toBe('[Service]\nSupplementaryGroups=adm\n');
      },
    );

    it.each(['', '# readGroup: adm', 'readGroup: cygnet-agent'])('and of no other without one: %s', async (line) => {
      using staging = makeStaging();
      expect(await installedWith(staging, 'readGroup: adm')).toBeDefined();
      expect(await installedWith(staging, line)).toBeUndefined();
    });

    it('and lets nothing else into the unit', async () => {
      using staging = makeStaging();
      await installedWith(staging, 'readGroup: adm');
      writeFileSync(join(staging.root, 'etc/cygnet/agent.yaml'), 'readGroup: a=b\n');
      const outcome = await staging.install('agent');
      expect(outcome).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('readGroup is no name of a group'),
      });
      expect(readFileSync(join(staging.root, dropIn), 'utf8')).toContain('SupplementaryGroups=adm\n');
    });

    it('until it is uninstalled', async () => {
      using staging = makeStaging();
      await installedWith(staging, 'readGroup: adm');
      await staging.install('agent', '--uninstall', '--purge');
      expect(filesIn(staging.root)).toEqual([]);
    });
  });

  it('upgrades to a new release and keeps the one before for a service that still runs', async () => {
    using staging = makeStaging();
    const releases = (): readonly string[] => readdirSync(join(staging.root, 'usr/lib/cygnet.releases'));
    for (let upgrade = 0; upgrade < 3; upgrade += 1) {
      await staging.install('agent');
      appendFileSync(join(staging.tree, 'dist/bin/agentctl.js'), '// changed\n');
    }
    expect(releases()).toHaveLength(2);
    const installed = readFileSync(join(staging.root, 'usr/lib/cygnet/dist/bin/agentctl.js'), 'utf8');
    expect(installed.match(/changed/g)).toHaveLength(2);
  });

  it('writes the first coordinator.yaml with the values that it is given', async () => {
    using staging = makeStaging();
    const subject = 'C=CN, O=Local Cluster';
    await staging.install('coordinator', '--mesh', 'demo', '--subject', subject, '--advertise', '203.0.113.10');
    const text = readFileSync(join(staging.root, 'etc/cygnet/coordinator.yaml'), 'utf8');
    expect(parse(text)).toMatchObject({ mesh: 'demo', subject, advertise: ['203.0.113.10'] });
  });

  it('leaves gaps to fill in where it is given none', async () => {
    using staging = makeStaging();
    await staging.install('coordinator');
    const text = readFileSync(join(staging.root, 'etc/cygnet/coordinator.yaml'), 'utf8');
    expect(parse(text)).toMatchObject({ mesh: '@MESH@', subject: 'O=@MESH@', advertise: ['@ADVERTISE@'] });
  });

  it('does not replace a /usr/lib/cygnet of someone else', async () => {
    using staging = makeStaging();
    mkdirSync(join(staging.root, 'usr/lib/cygnet'), { recursive: true });
    expect(await staging.install('agent')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('move it away'),
    });
  });
});

describe('scripts/install --uninstall', () => {
  it('leaves nothing but configuration and state', async () => {
    using staging = makeStaging();
    await staging.install('agent');
    mkdirSync(join(staging.root, 'var/lib/cygnet-agent'), { recursive: true });
    writeFileSync(join(staging.root, 'var/lib/cygnet-agent/key'), 'secret');
    await staging.install('agent', '--uninstall');
    expect(filesIn(staging.root)).toEqual(['/etc/cygnet/agent.yaml', '/var/lib/cygnet-agent/key']);
  });

  it('leaves nothing at all with --purge', async () => {
    using staging = makeStaging();
    await staging.install('coordinator');
    expect(await staging.install('coordinator', '--uninstall', '--purge')).toMatchObject({ exitCode: 0 });
    expect(filesIn(staging.root)).toEqual([]);
  });

  it('keeps what the other service of the machine needs', async () => {
    using staging = makeStaging();
    await staging.install('coordinator');
    await staging.install('agent');
    await staging.install('agent', '--uninstall', '--purge');
    expect(await outcomeOf(join(staging.root, 'usr/bin/meshctl'), [])).toMatchObject({ stdout: 'meshctl\n' });
  });
});

describe('scripts/install, used wrongly', () => {
  it.each([
    [['agent', '--bogus'], 'unknown argument: --bogus'],
    [[], 'which service'],
    [['agent', 'coordinator'], 'one service at a time'],
    [['agent', '--prefix'], '--prefix needs a value'],
    [['agent', '--prefix', '--no-start'], '--prefix needs a value'],
    [['agent', '--purge'], '--purge goes with --uninstall'],
    [['agent', '--from', '/nowhere'], 'there is no /nowhere'],
    [['agent', '--mesh', 'demo'], 'go with coordinator only'],
    [['coordinator', '--with-strongswan'], '--with-strongswan goes with agent'],
    [['coordinator', '--mesh', 'a"b'], '--mesh: lower case'],
    [['coordinator', '--subject', 'O=a"b'], '--subject: such as'],
    [['coordinator', '--advertise', 'host/path'], '--advertise: an address'],
  ])('refuses %j with exit code 2', async (args, message) => {
    const outcome = await outcomeOf(resolve('scripts/install'), args);
    expect(outcome).toMatchObject({ exitCode: 2, stdout: '', stderr: expect.stringContaining(message) });
  });

  it('shows its usage', async () => {
    const outcome = await outcomeOf(resolve('scripts/install'), ['--help']);
    expect(outcome).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('usage: scripts/install') });
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readAgentConfig, type AgentConfig } from '../../src/agent/config.ts';
import { ConfigError } from '../../src/config-file.ts';
import { temporaryFolder } from './temporary-folder.ts';

function configOf(text: string): AgentConfig {
  const path = join(temporaryFolder(), 'agent.yaml');
  writeFileSync(path, text);
  return readAgentConfig(path);
}

function complaintAbout(text: string): string {
  try {
    configOf(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
  }
  throw new Error('was accepted');
}

const defaults: AgentConfig = {
  viciSocket: '/var/run/charon.vici',
  stateDir: '/var/lib/cygnet-agent',
  socket: '/run/cygnet-agent/agent.sock',
  logLevel: 'info',
  keyType: 'ecdsa-p256',
  resyncSeconds: 10,
  reflectorPorts: [7445, 7446],
  restartFrozenCharon: 'never',
};

describe('the configuration', () => {
  it.each(['', '\n\n', '# viciSocket: /x\n  # more\n', '{}'])('%j means all defaults', (text) =>
    expect(configOf(text)).toEqual(defaults),
  );

  it('changes only what it names', () =>
    expect(configOf('# ours\nlogLevel: debug\nresyncSeconds: 60\n')).toEqual({
      ...defaults,
      logLevel: 'debug',
      resyncSeconds: 60,
    }));

  it.each([
    ['a misspelt field', 'logLevel: info\nlogLevl: debug\n', /agent\.yaml: line 2: logLevl: there is no such field/],
    ['a wrong type', 'resyncSeconds: soon\n', /line 1: resyncSeconds: /],
    ['a port twice', 'reflectorPorts: [7445, 7445]\n', /line 1: reflectorPorts: a port is named twice/],
    ['a port that is none', 'reflectorPorts: [0]\n', /line 1: reflectorPorts/],
    ['a value out of range', '\nresyncSeconds: 0\n', /line 2: resyncSeconds: /],
    ['a value that is none of the choices', 'keyType: dsa\n', /line 1: keyType: /],
    [
      'a path for a service',
      'restartFrozenCharon: /bin/x.service\n',
      /restartFrozenCharon: never, or a service such as/,
    ],
    ['a relative path', 'stateDir: state\n', /line 1: stateDir: must be an absolute path/],
    ['a socket path that is too long', `socket: /${'a'.repeat(107)}\n`, /at most 99 bytes/],
    ['a group that is none', 'readGroup: "a:b"\n', /line 1: readGroup: no name of a group/],
    ['a field twice', 'logLevel: info\nlogLevel: debug\n', /line 2: /],
    ['a list', '- a\n', /line 1: /],
    ['broken YAML', 'a: [\n', /agent\.yaml: line /],
  ])('with %s is refused, and the line is named', (_what, text, message) =>
    expect(complaintAbout(text)).toMatch(message),
  );

  it('names the service that may be restarted', () =>
    expect(configOf('restartFrozenCharon: strongswan.service\n')).toEqual({
      ...defaults,
      restartFrozenCharon: 'strongswan.service',
    }));

  it('names the group that may look', () =>
    expect(configOf('readGroup: adm\nreadSocket: /run/look.sock\n')).toEqual({
      ...defaults,
      readGroup: 'adm',
      readSocket: '/run/look.sock',
    }));

  it('names every mistake on a line of its own', () =>
    expect(complaintAbout('stateDir: x\nsocket: y\n').split('\n')).toHaveLength(2));

  it('that is not there is said to be so', () => {
    const path = join(temporaryFolder(), 'none.yaml');
    expect(() => readAgentConfig(path)).toThrow(`${path}: there is no such file`);
  });

  it('that cannot be read is an error of the configuration too', () =>
    expect(() => readAgentConfig(temporaryFolder())).toThrow(ConfigError));
});

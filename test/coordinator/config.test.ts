import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCoordinatorConfig, type CoordinatorConfig } from '../../src/coordinator/config.ts';

let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'cygnet-config-'));
  path = join(folder, 'coordinator.yaml');
});

afterAll(() => rmSync(folder, { recursive: true }));

function read(text: string): CoordinatorConfig {
  writeFileSync(path, text);
  return readCoordinatorConfig(path);
}

const MINIMAL = 'mesh: seed\nsubject: C=CN, O=Local Cluster\nadvertise: [203.0.113.10, coordinator.example]\n';

it('needs the mesh, its subject and where nodes find it; all else has a default', () => {
  expect(read(MINIMAL)).toEqual({
    mesh: 'seed',
    subject: 'C=CN, O=Local Cluster',
    listen: { host: '0.0.0.0', port: 7443 },
    advertise: ['203.0.113.10', 'coordinator.example'],
    stateDir: '/var/lib/cygnet-coordinator',
    apiSocket: '/run/cygnet-coordinator/api.sock',
    logLevel: 'info',
    certificates: { channel: 7 * 86_400, ike: 30 * 86_400, renewalGrace: 30 * 86_400 },
  });
});

it('takes lives of certificates as durations', () => {
  const { certificates } = read(`${MINIMAL}certificates: { channel: 12h, ike: 90d, renewalGrace: 0 }\n`);
  expect(certificates).toEqual({ channel: 12 * 3600, ike: 90 * 86_400, renewalGrace: 0 });
});

it('listens on IPv6 too', () => {
  expect(read(`${MINIMAL}listen: "[::]:443"\n`).listen).toEqual({ host: '::', port: 443 });
});

it('offers the operator’s API to other machines only where it is told to', () => {
  expect(read(MINIMAL).api).toBeUndefined();
  expect(read(`${MINIMAL}api: { listen: "127.0.0.1:7444" }\n`).api).toEqual({
    listen: { host: '127.0.0.1', port: 7444 },
  });
});

it.each([
  ['mesh: Seed!', 'line 1: mesh: mesh name "Seed!"'],
  ['subject: Local', 'line 1: subject: subject: "Local" is not TYPE=value'],
  ['listen: 7443', 'line 1: listen: expected string'],
  ['listen: "*:7443"', 'line 1: listen: not ADDRESS:PORT'],
  ['listen: 0.0.0.0:70000', 'line 1: listen: not ADDRESS:PORT'],
  ['listen: ::1:7443', 'line 1: listen: not ADDRESS:PORT'],
  ['api: { listen: 7444 }', 'line 1: api.listen: expected string'],
  ['api: {}', 'line 1: api.listen: '],
  ['advertise: []', 'line 1: advertise: Too small'],
  ['advertise: [https://x]', 'line 1: advertise[0]: neither an address nor a host name'],
  ['stateDir: state', 'line 1: stateDir: must be an absolute path'],
  [`apiSocket: /${'x'.repeat(120)}`, 'line 1: apiSocket: a socket path has at most 99 bytes'],
  ['logLevel: loud', 'line 1: logLevel: Invalid option'],
  [
    'certificates: { channel: 1h }',
    'line 1: certificates.channel: not a duration such as 12h or 7d, from 2h to 90d: 1h',
  ],
  ['certificates: { channel: 91d }', 'line 1: certificates.channel: not a duration such as 12h or 7d, from 2h to 90d'],
  ['certificates: { ike: 10y }', 'line 1: certificates.ike: not a duration such as 12h or 7d, from 2h to 398d'],
  ['certificates: { grace: 1d }', 'line 1: certificates.grace: there is no such field'],
  ['statedir: /x', 'line 1: statedir: there is no such field'],
])('refuses "%s" and names file and line', (line, expected) => {
  const [field = ''] = line.split(':');
  const rest = MINIMAL.split('\n').filter((other) => !other.startsWith(`${field}:`));
  expect(() => read([line, ...rest].join('\n'))).toThrow(`${path}: ${expected}`);
});

it('says so when there is no such file', () => {
  expect(() => readCoordinatorConfig('/nowhere/c.yaml')).toThrow('/nowhere/c.yaml: there is no such file');
});

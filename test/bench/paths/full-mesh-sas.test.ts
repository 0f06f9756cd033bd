import { expect, it } from 'vitest';
import type { ViciIkeSa } from '../../../src/vici/index.ts';
import { difference, expectedSas, isSecondRegistration, seenSas } from './full-mesh-sas.ts';

const NODES = { hub: 'master1', sites: ['site1', 'site2'] } as const;

it('a site has its registration, its hub tunnel with every link, and a tunnel to each other site', () => {
  expect(expectedSas('site1', NODES)).toEqual([
    'C=CN, O=Local Cluster, CN=master1: ',
    'master1.seed: master1--site1 site1--site2',
    'C=CN, O=Local Cluster, CN=site2: site1--site2',
  ]);
});

it('a hub has a registration and a tunnel of each site', () => {
  expect(expectedSas('master1', NODES)).toEqual([
    'C=CN, O=Local Cluster, CN=site1: ',
    'site1.seed: master1--site1 site1--site2',
    'C=CN, O=Local Cluster, CN=site2: ',
    'site2.seed: master1--site2 site1--site2',
  ]);
});

it('a second registration is counted by itself, and a tunnel that is set up through it is a tunnel', () => {
  const sa = (name: string, state = 'ESTABLISHED'): ViciIkeSa =>
    ({ name, state, 'remote-id': name, 'child-sas': new Map() }) as unknown as ViciIkeSa;
  const names = [
    'cygnet-medsrv-master1',
    'cygnet-medsrv-master1.again',
    'cygnet-mediation.again',
    'cygnet-peer-a.again',
  ];
  const all = [...names.map((name) => sa(name)), sa('cygnet-mediation.again', 'CONNECTING')];
  expect(all.map(isSecondRegistration)).toEqual([false, true, true, false, false]);
  expect(seenSas(all)).toEqual([
    'cygnet-medsrv-master1: ',
    'cygnet-peer-a.again: ',
    'cygnet-mediation.again CONNECTING: ',
  ]);
});

it('what is there twice is too many once', () => {
  expect(difference(['a', 'b'], ['b', 'b', 'c'])).toEqual({ missing: ['a'], surplus: ['b', 'c'] });
});

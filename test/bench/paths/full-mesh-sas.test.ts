import { expect, it } from 'vitest';
import { difference, expectedSas } from './full-mesh-sas.ts';

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

it('what is there twice is too many once', () => {
  expect(difference(['a', 'b'], ['b', 'b', 'c'])).toEqual({ missing: ['a'], surplus: ['b', 'c'] });
});

import { describe, expect, it } from 'vitest';
import { ikeSaOf, type IkeSa } from '../../src/ike/sa.ts';
import { section } from '../../src/ike/sections.ts';
import { viciCommands, type ViciSection } from '../../src/vici/index.ts';

/** As strongSwan 5.9.8 sends it for a mediated tunnel through two NATs. */
const captured = section({
  'cygnet-peer-remote': section({
    uniqueid: '7',
    version: '2',
    state: 'ESTABLISHED',
    'local-host': '192.168.1.2',
    'local-port': '4500',
    'local-id': 'C=CN, O=Local Cluster, CN=edge1',
    'remote-host': '203.0.113.22',
    'remote-port': '4500',
    'remote-id': 'C=CN, O=Local Cluster, CN=remote',
    initiator: 'yes',
    'initiator-spi': 'd1f0e5c9a17b3c21',
    'responder-spi': '0c1f9a7a6b1e44aa',
    'nat-local': 'yes',
    'nat-remote': 'yes',
    'nat-any': 'yes',
    'encr-alg': 'AES_GCM_16',
    'encr-keysize': '128',
    'prf-alg': 'PRF_HMAC_SHA2_256',
    'dh-group': 'ECP_256',
    established: '62',
    'rekey-time': '3192',
    'tasks-active': [],
    'child-sas': section({
      'edge1--remote-3': section({
        name: 'edge1--remote',
        uniqueid: '3',
        reqid: '2',
        state: 'INSTALLED',
        mode: 'TUNNEL',
        protocol: 'ESP',
        encap: 'yes',
        'spi-in': 'c3a1f0aa',
        'if-id-in': '00001d17',
        'if-id-out': '00001d17',
        'spi-out': 'ce0a1b22',
        'bytes-in': '1344',
        'packets-in': '16',
        'use-in': '1',
        'bytes-out': '1428',
        'packets-out': '17',
        'rekey-time': '861',
        'life-time': '1138',
        'install-time': '62',
        'local-ts': ['7.7.7.0/24'],
        'remote-ts': ['7.7.8.0/24'],
      }),
    }),
  }),
});

const read = (body: ViciSection): IkeSa => ikeSaOf(viciCommands['list-sas'].item(body));

describe('an IKE SA of list-sas', () => {
  it('is read with its CHILD SAs', () =>
    expect(read(captured)).toEqual({
      name: 'cygnet-peer-remote',
      uniqueId: 7,
      state: 'ESTABLISHED',
      initiator: true,
      initiatorSpi: 'd1f0e5c9a17b3c21',
      localHost: '192.168.1.2',
      localPort: 4500,
      remoteHost: '203.0.113.22',
      remotePort: 4500,
      localId: 'C=CN, O=Local Cluster, CN=edge1',
      remoteId: 'C=CN, O=Local Cluster, CN=remote',
      nat: true,
      establishedSeconds: 62,
      rekeyInSeconds: 3192,
      isMediating: false,
      childSas: [
        {
          name: 'edge1--remote',
          uniqueId: 3,
          reqid: 2,
          ifId: 7447,
          state: 'INSTALLED',
          spiIn: 'c3a1f0aa',
          spiOut: 'ce0a1b22',
          bytesIn: 1344,
          bytesOut: 1428,
          packetsIn: 16,
          packetsOut: 17,
          installedSeconds: 62,
          rekeyInSeconds: 861,
          localTs: ['7.7.7.0/24'],
          remoteTs: ['7.7.8.0/24'],
        },
      ],
    }));

  it.each(['tasks-queued', 'tasks-active'])('of a registration tells that a mediation is in its %s', (tasks) => {
    const body = (names: string[]): ViciSection =>
      section({
        'cygnet-medsrv-hub': section({
          ...Object.fromEntries(captured.get('cygnet-peer-remote') as ViciSection),
          [tasks]: names,
        }),
      });
    expect(read(body(['IKE_DPD'])).isMediating).toBe(false);
    expect(read(body(['IKE_DPD', 'IKE_ME'])).isMediating).toBe(true);
  });

  it('in CREATED, with its hosts %any, is one that has failed or waits', () => {
    const created = section({
      uniqueid: '4',
      version: '2',
      state: 'CREATED',
      'local-host': '%any',
      'local-port': '500',
      'local-id': '%any',
      'remote-host': '%any',
      'remote-port': '500',
      'remote-id': '%any',
      initiator: 'yes',
      'initiator-spi': '0000000000000000',
      'responder-spi': '0000000000000000',
      'child-sas': new Map(),
    });
    expect(read(section({ 'cygnet-peer-remote': created }))).toMatchObject({
      nat: false,
      state: 'CREATED',
      remoteHost: '%any',
      establishedSeconds: undefined,
      rekeyInSeconds: undefined,
      childSas: [],
    });
  });
});

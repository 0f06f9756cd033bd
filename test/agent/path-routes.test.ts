import { describe, expect, it } from 'vitest';
import { PathRoutes } from '../../src/agent/path-routes.ts';
import { StepRefused, type Route } from '../../src/reconcile/charon.ts';
import { FakeIp } from './fake-ip.ts';

const toSubnet: Route = { table: 'traffic', destination: '7.7.8.0/24', path: 'relay' };
const toProbed: Route = { table: 'probes', destination: '100.96.0.6/32', path: 'direct' };

class Host {
  readonly ip = new FakeIp();
  nowMs = 0;
  refused = 0;
  hasInterfaces = true;
  readonly routes = new PathRoutes({
    monotonicMs: () => this.nowMs,
    hasInterfaces: () => this.hasInterfaces,
    own: () => '100.96.0.4',
    onRefused: () => (this.refused += 1),
  });

  async seen(): Promise<unknown[]> {
    return [...(await this.routes.observe())];
  }
}

describe('the routes into a node’s XFRM interfaces', () => {
  it('are set at once, with the mesh address as the source where the node has no address in its subnets', async () => {
    const host = new Host();
    await host.routes.set([toSubnet, toProbed], ['198.51.100.0/24']);
    expect(host.ip.batched()).toEqual([
      'route replace 7.7.8.0/24 dev cygnet-relay table 7447 protocol 74 src 100.96.0.4',
      'route replace 100.96.0.6/32 dev cygnet-direct table 7448 protocol 74 src 100.96.0.4',
    ]);
    await host.routes.set([toSubnet], ['127.0.0.0/8']);
    expect(host.ip.batched()).toEqual([
      'route replace 7.7.8.0/24 dev cygnet-relay table 7447 protocol 74 src 127.0.0.1',
    ]);
    await host.routes.remove([toProbed]);
    expect(host.ip.batched()).toEqual(['route del 100.96.0.6/32 table 7448']);
  });

  it('are known from what was done, and looked at every ten seconds', async () => {
    const host = new Host();
    expect(await host.seen()).toEqual([]);
    await host.routes.set([toSubnet], []);
    expect(await host.seen()).toEqual([['traffic 7.7.8.0/24', toSubnet]]);
    host.ip.says({
      'table 7447': '[{"dst":"7.7.8.0/24","dev":"cygnet-direct"},{"dst":"default","dev":"eth0"}]',
      'table 7448': '[{"dst":"100.96.0.6","dev":"cygnet-direct"}]',
    });
    host.nowMs = 9999;
    expect(await host.seen()).toHaveLength(1);
    host.nowMs = 10_000;
    expect(await host.seen()).toEqual([
      ['traffic 7.7.8.0/24', { ...toSubnet, path: 'direct' }],
      ['traffic 0.0.0.0/0', { table: 'traffic', destination: '0.0.0.0/0', path: undefined }],
      ['probes 100.96.0.6/32', toProbed],
    ]);
  });

  it('are looked at at once when one of them may be gone', async () => {
    const host = new Host();
    await host.routes.set([toSubnet], []);
    host.routes.suspect();
    expect(await host.seen()).toEqual([]);
  });

  it('are refused in the kernel’s words, and looked at anew then', async () => {
    const host = new Host();
    await host.routes.set([toSubnet], []);
    host.ip.refuses('Cannot find device "cygnet-relay"');
    await expect(host.routes.set([toSubnet], [])).rejects.toThrow(StepRefused);
    await expect(host.routes.remove([toSubnet])).rejects.toThrow(/^routes not changed: .*: Cannot find device/);
    expect(host.refused).toBe(2);
    expect(await host.seen()).toEqual([]);
  });

  it('are none when they cannot be looked at, or there is nothing to route into', async () => {
    const host = new Host();
    host.ip.says({ table: 'not JSON' });
    expect(await host.seen()).toEqual([]);
    host.ip.says({ 'table 7447': '[{"dst":"7.7.8.0/24","dev":"cygnet-relay"}]' });
    host.hasInterfaces = false;
    expect(await host.seen()).toEqual([]);
    host.hasInterfaces = true;
    expect(await host.seen()).toHaveLength(1);
  });
});

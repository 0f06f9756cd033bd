import type { NodeEvent } from '../control/report.ts';
import { CONNECTION_PREFIX } from '../ike/connection.ts';
import type { ViciChildSa, ViciEvent, ViciEventName, ViciIkeSa } from '../vici/index.ts';

/** The events that every charon has. */
export const CHARON_EVENTS = [
  'ike-updown',
  'child-updown',
  'ike-rekey',
  'child-rekey',
  'ike-update',
] as const satisfies readonly ViciEventName[];

/** Those that came later: `alert` with strongSwan 6.0.3. */
export const NEWER_CHARON_EVENTS = ['alert'] as const satisfies readonly ViciEventName[];

/** What a charon event says about our connections, for people. Others' connections give nothing. */
export function nodeEventsOf(event: ViciEvent, atMs: number): readonly NodeEvent[] {
  return toldBy(event)
    .filter(({ connection }) => connection === null || connection.startsWith(CONNECTION_PREFIX))
    .map((told) => ({ atMs, ...told }));
}

type Told = Omit<NodeEvent, 'atMs'>;

function toldBy(event: ViciEvent): readonly Told[] {
  switch (event.name) {
    case 'ike-updown': {
      const { up, ikeSa } = event.body;
      return [
        { kind: up ? 'ike-up' : 'ike-down', connection: ikeSa.name, child: null, message: ikeMessage(ikeSa, up) },
      ];
    }
    case 'child-updown': {
      const { up, ikeSa } = event.body;
      const kind = up ? 'child-up' : 'child-down';
      return [...ikeSa['child-sas'].values()].map((child) => ({
        kind,
        connection: ikeSa.name,
        child: child.name,
        message: childMessage(child, up),
      }));
    }
    case 'ike-rekey':
      return [{ kind: 'ike-rekey', connection: event.body.name, child: null, message: 'IKE SA rekeyed' }];
    case 'child-rekey': {
      const { name } = event.body.new;
      const connection = event.body.ikeSa.name;
      return [{ kind: 'child-rekey', connection, child: name, message: `CHILD SA ${name} rekeyed` }];
    }
    case 'ike-update': {
      const { name, uniqueid } = event.body.ikeSa;
      return [
        { kind: 'ike-update', connection: name, child: null, message: `IKE SA #${uniqueid} has other addresses now` },
      ];
    }
    case 'alert':
      // Some are about one IKE SA, the others about the whole daemon.
      return [{ kind: 'alert', connection: event.body.ikeSa?.name ?? null, child: null, message: event.body.type }];
    case 'control-log':
    case 'list-authority':
    case 'list-cert':
    case 'list-conn':
    case 'list-policy':
    case 'list-sa':
    case 'log':
      return [];
  }
}

function ikeMessage(sa: ViciIkeSa, up: boolean): string {
  return `IKE SA #${sa.uniqueid} ${upDown(up)}: ${sa['local-host']} … ${sa['remote-host']} [${sa['remote-id']}]`;
}

function childMessage(child: ViciChildSa, up: boolean): string {
  const selectors = [child['local-ts'], child['remote-ts']].map((list) => list.join(' ')).join(' === ');
  const spis = `${child['spi-in'] ?? ''}_i ${child['spi-out'] ?? ''}_o`;
  return `CHILD SA #${child.uniqueid} ${upDown(up)}: ${selectors}, SPIs ${spis}`;
}

function upDown(up: boolean): string {
  return up ? 'up' : 'down';
}

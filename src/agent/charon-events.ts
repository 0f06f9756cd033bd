import { CONNECTION_PREFIX } from '../ike/connection.ts';
import { plainOf } from '../ike/sections.ts';
import type { NodeEvent } from '../control/report.ts';
import type { ViciEventName, ViciSection } from '../vici/index.ts';

/** The events that every charon has. `alert` is probed for: it came with strongSwan 6.0.3. */
export const CHARON_EVENTS = [
  'ike-updown',
  'child-updown',
  'ike-rekey',
  'child-rekey',
  'ike-update',
] as const satisfies readonly ViciEventName[];

/** charon's own field; a flag is sent only when it is true. */
const UP = 'up';

/** What a charon event says about our connections, for people. Others' connections give nothing. */
export function nodeEventsOf(name: string, body: ViciSection, atMs: number): readonly NodeEvent[] {
  if (name === 'alert') return alertsOf(body, atMs);
  const isUp = body.get(UP) === 'yes';
  return [...body].flatMap(([key, value]) => {
    if (!(value instanceof Map) || !key.startsWith(CONNECTION_PREFIX)) return [];
    return eventsOf(name, key, value as ViciSection, isUp, atMs);
  });
}

/** Some alerts are about one IKE SA; the others about the whole daemon. */
function alertsOf(body: ViciSection, atMs: number): readonly NodeEvent[] {
  const ikeSa = body.get('ike-sa');
  const [connection = null] = ikeSa instanceof Map ? [...(ikeSa as ViciSection).keys()] : [];
  if (connection !== null && !connection.startsWith(CONNECTION_PREFIX)) return [];
  return [{ atMs, kind: 'alert', connection, child: null, message: textOf(body, 'type') || 'alert' }];
}

function eventsOf(
  name: string,
  connection: string,
  sa: ViciSection,
  isUp: boolean,
  atMs: number,
): readonly NodeEvent[] {
  const upDown = isUp ? 'up' : 'down';
  const id = textOf(sa, 'uniqueid');
  switch (name) {
    case 'ike-updown': {
      const message = `IKE SA #${id} ${upDown}: ${textOf(sa, 'local-host')} … ${textOf(sa, 'remote-host')} [${textOf(sa, 'remote-id')}]`;
      return [{ atMs, kind: `ike-${upDown}`, connection, child: null, message }];
    }
    case 'child-updown':
      return childrenIn(sa).map(({ child, fields }) => ({
        atMs,
        kind: `child-${upDown}`,
        connection,
        child,
        message: childMessage(fields, upDown),
      }));
    case 'ike-rekey':
      return [{ atMs, kind: 'ike-rekey', connection, child: null, message: 'IKE SA rekeyed' }];
    case 'child-rekey':
      return childrenIn(sa).map(({ child }) => ({
        atMs,
        kind: 'child-rekey',
        connection,
        child,
        message: `CHILD SA ${child} rekeyed`,
      }));
    case 'ike-update':
      return [{ atMs, kind: 'ike-update', connection, child: null, message: `IKE SA #${id} has other addresses now` }];
    default:
      return [];
  }
}

function childMessage(fields: ViciSection, upDown: string): string {
  const selectors = [listOf(fields, 'local-ts'), listOf(fields, 'remote-ts')].join(' === ');
  return `CHILD SA #${textOf(fields, 'uniqueid')} ${upDown}: ${selectors}, SPIs ${textOf(fields, 'spi-in')}_i ${textOf(fields, 'spi-out')}_o`;
}

/** The section key is `<child>-<unique id>`; the name is inside, except in a rekey, where it is in `old` and `new`. */
function childrenIn(sa: ViciSection): readonly { child: string; fields: ViciSection }[] {
  const children = sa.get('child-sas');
  if (!(children instanceof Map)) return [];
  return [...(children as ViciSection)].flatMap(([key, fields]) =>
    fields instanceof Map
      ? [{ child: textOf(fields as ViciSection, 'name') || key, fields: fields as ViciSection }]
      : [],
  );
}

function textOf(section: ViciSection, key: string): string {
  const value = section.get(key);
  return typeof value === 'string' ? value : '';
}

function listOf(section: ViciSection, key: string): string {
  const value = plainOf(section.get(key) ?? []);
  return Array.isArray(value) ? value.join(' ') : '';
}

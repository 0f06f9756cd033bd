import { table } from './api-markdown.ts';
import type { Linker } from './linker.ts';
import type { PublicApi, TypeTable } from './public-api.ts';

/** By command, if not said otherwise. */
export interface ProtocolTypes {
  readonly lanes: TypeTable;
  readonly requests: TypeTable;
  readonly replies: TypeTable;
  /** Events of the commands that stream. */
  readonly streamed: TypeTable;
  readonly items: TypeTable;
  /** By event. */
  readonly bodies: TypeTable;
}

/** What the compiler finds behind the library's generic types. */
export function protocolTypesOf(api: PublicApi): ProtocolTypes {
  const tableOf = (name: string): TypeTable => api.typeTable('test/docs/command-types.ts', name);
  return {
    lanes: tableOf('Lanes'),
    requests: tableOf('Requests'),
    replies: tableOf('Replies'),
    streamed: tableOf('StreamedEvents'),
    items: tableOf('Items'),
    bodies: tableOf('Bodies'),
  };
}

/** The commands by name, with what each takes and gives. */
export function commandTable(types: ProtocolTypes, linker: Linker): string {
  const { lanes, requests, replies, items } = types;
  const rows = sorted(lanes.keys()).map((command) => [
    `\`${command}\``,
    unquoted(lanes.get(command)),
    linker.type(requests.get(command) ?? ''),
    linker.type(replies.get(command) ?? ''),
    linker.type(items.get(command) ?? ''),
  ]);
  return table(['command', 'lane', 'request', 'reply', 'streamed item'], rows);
}

/** The events by name, with what each brings. */
export function eventTable({ streamed, items, bodies }: ProtocolTypes, linker: Linker): string {
  const rows = sorted(bodies.keys()).map((event) => {
    const commands = sorted(streamed.keys()).filter((command) => unquoted(streamed.get(command)) === event);
    const body = commands[0] === undefined ? bodies.get(event) : items.get(commands[0]);
    const to = commands.map((command) => `\`${command}\``).join(', ');
    return [`\`${event}\``, linker.type(body ?? ''), to === '' ? 'subscribers' : `whoever streams ${to}`];
  });
  return table(['event', 'body', 'sent to'], rows);
}

/** Not by locale: the order may not depend on the machine. */
function sorted(names: Iterable<string>): readonly string[] {
  return [...names].sort();
}

function unquoted(literal = ''): string {
  return literal.replaceAll("'", '');
}

import { apiMarkdown } from './api-markdown.ts';
import { undocumentedIn, unnameableIn } from './gaps.ts';
import { Linker } from './linker.ts';
import { commandTable, eventTable, protocolTypesOf } from './protocol-tables.ts';
import { PublicApi, type ApiExport } from './public-api.ts';

/** The library's modules, as users import them, and their sources. */
const VICI = { specifier: 'cygnet/vici', file: 'src/vici/index.ts' };
const TESTING = { specifier: 'cygnet/vici/testing', file: 'src/vici/testing/index.ts' };

/** Which part describes what a source below src/vici exports; a folder ends with `/`. */
const GROUPS = [
  { title: 'Client', sources: ['client.ts', 'client-events.ts', 'watch-sas.ts', 'sa-table.ts', 'dial.ts'] },
  { title: 'Session', sources: ['session.ts', 'subscription.ts', 'connection.ts'] },
  { title: 'Errors', sources: ['vici-error.ts'] },
  { title: 'Commands', sources: ['protocol/commands.ts'] },
  { title: 'Requests', sources: ['protocol/requests.ts', 'protocol/load-conn.ts', 'protocol/connection-config.ts'] },
  { title: 'Replies', sources: ['protocol/replies.ts'] },
  { title: 'Streamed items', sources: ['protocol/sas.ts', 'protocol/lists.ts'] },
  { title: 'Events', sources: ['protocol/events.ts'] },
  { title: 'Codec', sources: ['message.ts', 'packet.ts', 'segment.ts', 'name.ts', 'byte-writer.ts', 'request.ts'] },
  { title: TESTING.specifier, sources: ['testing/'] },
] as const;

type GroupTitle = (typeof GROUPS)[number]['title'];

/** Its fields are a column of the table of commands. */
const REQUESTS_BY_COMMAND = 'ViciRequests';

const INTRO = `Every export of \`${VICI.specifier}\` and \`${TESTING.specifier}\`, made from the docstrings by \`npm run docs:api\`. Begin with
[the guide](vici.md). Keys of requests and replies are spelled as on the wire, so that strongSwan's documentation
applies; a field with \`?\` may be absent.`;

/** What is wrong with the exports, and their reference. */
export interface ApiReference {
  readonly markdown: string;
  /** Exports, fields and methods without a docstring. */
  readonly undocumented: readonly string[];
  /** Types that exports mention and users cannot name. */
  readonly unnameable: readonly string[];
}

/** Reads the sources below `root`; throws when a source with exports belongs to no group. */
export function apiReference(root: string): ApiReference {
  using api = new PublicApi(root);
  const exports = [VICI, TESTING].flatMap(({ file }) => api.exportsOf(file)).map(withoutListedElsewhere);
  const linker = new Linker(exports);
  const types = protocolTypesOf(api);
  const intros: Partial<Record<GroupTitle, string>> = {
    Commands: commandTable(types, linker),
    Events: eventTable(types, linker),
  };
  const groups = GROUPS.map(({ title, sources }) => ({
    title,
    intro: intros[title] ?? '',
    exports: sources.flatMap((source) => exports.filter(({ file }) => isFrom(file, source))),
  }));
  const lost = exports.find((item) => !groups.some((group) => group.exports.includes(item)));
  if (lost !== undefined) throw new Error(`the API reference has no group for what ${lost.file} exports`);
  return {
    markdown: apiMarkdown('API reference', INTRO, groups),
    undocumented: undocumentedIn(exports),
    unnameable: unnameableIn(exports),
  };
}

function isFrom(file: string, source: string): boolean {
  const path = `src/vici/${source}`;
  return source.endsWith('/') ? file.startsWith(path) : file === path;
}

function withoutListedElsewhere(item: ApiExport): ApiExport {
  return item.name === REQUESTS_BY_COMMAND ? { ...item, members: [] } : item;
}

import { anchor, codeSpan, Linker, methodHeading } from './linker.ts';
import type { ApiMember } from './members.ts';
import type { ApiExport } from './public-api.ts';

/** A part of the reference under a heading of its own. */
export interface ApiGroup {
  readonly title: string;
  /** Markdown before the exports. */
  readonly intro: string;
  readonly exports: readonly ApiExport[];
}

/** A page with a heading per group and export; what it names and describes elsewhere is a link. */
export function apiMarkdown(title: string, intro: string, groups: readonly ApiGroup[]): string {
  const linker = new Linker(groups.flatMap(({ exports }) => exports));
  const contents = groups.map((group) => contentsOf(group)).join('\n');
  const parts = groups.map((group) => groupMarkdown(group, linker));
  return `${[`# ${title}`, linker.prose(intro), contents, ...parts].join('\n\n')}\n`;
}

/** A Markdown table; cells may hold any Markdown of one line. */
export function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll(/(?<!\\)\|/g, '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

function contentsOf({ title, exports }: ApiGroup): string {
  const names = exports.map(({ name }) => `[${name}](${anchor(name)})`);
  return `- [${title}](${anchor(title)}): ${names.join(', ')}`;
}

function groupMarkdown({ title, intro, exports }: ApiGroup, linker: Linker): string {
  const parts = [`## ${title}`, linker.prose(intro), ...exports.map((item) => exportMarkdown(item, linker))];
  return parts.filter((part) => part !== '').join('\n\n');
}

function exportMarkdown({ name, signature, doc, members }: ApiExport, linker: Linker): string {
  const fields = members.filter(({ isMethod }) => !isMethod);
  const methods = members.filter(({ isMethod }) => isMethod);
  const parts = [
    `### ${name}`,
    code(signature),
    linker.prose(doc, name),
    ...(fields.length === 0 ? [] : [fieldTable(fields, linker, name)]),
    ...methods.flatMap((method) => [
      `#### ${methodHeading(name, method)}`,
      code(method.code),
      linker.prose(method.doc, name),
    ]),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function fieldTable(fields: readonly ApiMember[], linker: Linker, here: string): string {
  const rows = fields.map(({ name, isOptional, code, doc }) => [
    codeSpan(`${unquoted(name)}${isOptional ? '?' : ''}`),
    linker.type(code),
    linker.prose(doc, here).replaceAll(/\n\n+/g, '<br><br>').replaceAll('\n', ' '),
  ]);
  return table(['field', 'type', 'meaning'], rows);
}

function unquoted(name: string): string {
  return name.replaceAll("'", '');
}

function code(text: string): string {
  return `\`\`\`ts\n${text}\n\`\`\``;
}

import type { ApiExport } from './public-api.ts';

/** Exports, fields and methods without a docstring. */
export function undocumentedIn(exports: readonly ApiExport[]): readonly string[] {
  return exports.flatMap(({ name, doc, members }) => [
    ...(doc === '' ? [name] : []),
    ...members.filter((member) => member.needsDoc && member.doc === '').map((member) => `${name}.${member.name}`),
  ]);
}

/** Types of this repository that exports mention and that are not among them. */
export function unnameableIn(exports: readonly ApiExport[]): readonly string[] {
  const names = new Set(exports.map(({ name }) => name));
  return exports.flatMap(({ name, mentions }) =>
    mentions.filter((mention) => !names.has(mention)).map((mention) => `${mention} (of ${name})`),
  );
}

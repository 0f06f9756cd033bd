import type { ApiMember } from './members.ts';
import type { ApiExport } from './public-api.ts';

type Described = Pick<ApiExport, 'name' | 'members'>;

/** A docstring's link with its label, a link of Markdown, which stays, or a name in backticks. */
const LINK_OR_CODE = /\{@link\s+([^}\s|]+)\s*(?:\|\s*([^}]+?)\s*)?\}|\[[^\]\n]*\]\([^)\n]*\)|`([^`\n]+)`/g;

/** Turns names of what the page describes into links to it. */
export class Linker {
  readonly #anchors: ReadonlyMap<string, string>;

  /** For a page that has a heading for each of these exports, and for each of their methods. */
  constructor(exports: readonly Described[]) {
    this.#anchors = new Map(exports.flatMap((item) => [[item.name, anchor(item.name)], ...methodAnchors(item)]));
  }

  /**
   * Docstrings, and any other Markdown: links of the forms `{@link A.b}` and `{@link b | text}`, and names in backticks.
   * `here` is the export that the text belongs to: its methods need no qualification, and itself no link.
   */
  prose(text: string, here = ''): string {
    return text.replaceAll(LINK_OR_CODE, (whole, link?: string, label?: string, name?: string) => {
      if (link !== undefined) return this.#linked(label ?? codeSpan(link), link, here);
      return name === undefined ? whole : this.#linked(whole, name, here);
    });
  }

  /** A type as code: a link as a whole when it names one thing, else with the links behind it. */
  type(text: string): string {
    if (text === '') return '';
    const words = text.replaceAll(/'[^']*'/g, '').match(/[A-Za-z_]\w*/g);
    const named = [...new Set(words)].filter((name) => this.#anchors.has(name));
    const [only] = named;
    if (only !== undefined && named.length === 1) return this.#linked(codeSpan(text), only, '');
    return [codeSpan(text), ...named.map((name) => this.#linked(name, name, ''))].join(' ');
  }

  #linked(label: string, name: string, here: string): string {
    const target = this.#anchors.get(name) ?? this.#anchors.get(`${here}.${name}`);
    return target === undefined || name === here ? label : `[${label}](${target})`;
  }
}

function methodAnchors({ name, members }: Described): readonly (readonly [string, string])[] {
  const methods = members.filter(({ isMethod }) => isMethod);
  return methods.map((method) => [`${name}.${method.name}`, anchor(methodHeading(name, method))]);
}

/** The heading of a method's part. */
export function methodHeading(owner: string, method: ApiMember): string {
  return `${owner}: ${method.name}`;
}

/** The anchor that GitHub gives to a heading. */
export function anchor(heading: string): string {
  return `#${heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-')}`;
}

/** Code within a line, which may have a template with its backticks. */
export function codeSpan(text: string): string {
  return text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``;
}

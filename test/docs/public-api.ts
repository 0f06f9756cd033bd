import { relative } from 'node:path';
import { SyntaxKind, type Node } from 'typescript/unstable/ast';
import {
  API,
  NodeBuilderFlags,
  SymbolFlags,
  type Project,
  type Symbol as TypeScriptSymbol,
  type Type,
} from 'typescript/unstable/sync';
import { membersOf, type ApiMember } from './members.ts';
import { mentionsIn } from './mentions.ts';
import { docOf, signatureOf } from './signature.ts';

/** What a module gives to its users under one name. */
export interface ApiExport {
  readonly name: string;
  /** Where it is declared, from the root. */
  readonly file: string;
  /** TypeScript, without what `members` has. */
  readonly signature: string;
  /** Markdown, with `{@link …}`; empty when there is none. */
  readonly doc: string;
  readonly members: readonly ApiMember[];
  /** Names of this repository's types that it mentions, exported or not. */
  readonly mentions: readonly string[];
}

/** The types that a table of types, such as `{ a: A; b: B }`, holds for each key. */
export type TypeTable = ReadonlyMap<string, string>;

/**
 * The TypeScript of one project, read by the compiler's own API. TypeScript 7 calls that API unstable: the lock file
 * holds the version that this was written for.
 */
export class PublicApi implements Disposable {
  readonly #root: string;
  readonly #api: API;
  readonly #project: Project;

  /** `root` is the folder with the tsconfig.json. */
  constructor(root: string) {
    this.#root = root;
    this.#api = new API({ cwd: root });
    const [project] = this.#api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] }).getProjects();
    if (project === undefined) throw new Error(`no TypeScript project in ${root}`);
    this.#project = project;
  }

  /** What the module of that file exports; what comes from one source is together, in its order there. */
  exportsOf(file: string): readonly ApiExport[] {
    return this.#symbolsOf(file)
      .map((symbol) => ({ name: symbol.name, declaration: this.#declarationOf(symbol, file) }))
      .sort(
        (a, b) => compareTexts(fileOf(a.declaration), fileOf(b.declaration)) || a.declaration.pos - b.declaration.pos,
      )
      .map(({ name, declaration }) => this.#describe(name, declaration));
  }

  /** The types that an exported object type of that file has for its fields. */
  typeTable(file: string, name: string): TypeTable {
    const { checker } = this.#project;
    const symbol = this.#symbolsOf(file).find((exported) => exported.name === name);
    if (symbol === undefined) throw new Error(`${file} has no ${name}`);
    const fields = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol));
    return new Map(fields.map((field) => [field.name, this.#typeText(checker.getTypeOfSymbol(field))]));
  }

  [Symbol.dispose](): void {
    this.#api.close();
  }

  #symbolsOf(file: string): readonly TypeScriptSymbol[] {
    const { checker, program } = this.#project;
    const source = program.getSourceFile(`${this.#root}/${file}`);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is no module of the project`);
    return checker.getExportsOfModule(module);
  }

  #declarationOf(symbol: TypeScriptSymbol, file: string): Node {
    const target = this.#targetOf(symbol);
    const declaration = target.declarations[0]?.resolve(this.#project);
    if (declaration === undefined) throw new Error(`${file} exports ${symbol.name}, which is declared nowhere`);
    return declaration;
  }

  #describe(name: string, declaration: Node): ApiExport {
    const file = relative(this.#root, fileOf(declaration));
    const mentions = mentionsIn(declaration)
      .filter((mention) => this.#isOurs(mention))
      .map((mention) => mention.getText());
    const typeOf = (node: Node): string => this.#typeText(this.#project.checker.getTypeAtLocation(node));
    const [signature, members] = [signatureOf(declaration, typeOf), membersOf(declaration, typeOf)];
    return { name, file, signature, doc: docOf(declaration), members, mentions: [...new Set(mentions)] };
  }

  /** Whether the name is declared at the top of one of the project's sources, not in a library or as a parameter. */
  #isOurs(name: Node): boolean {
    const symbol = this.#project.checker.getSymbolAtLocation(name);
    const declaration = symbol && this.#targetOf(symbol).declarations[0]?.resolve(this.#project);
    if (declaration === undefined || declaration.kind === SyntaxKind.TypeParameter) return false;
    return fileOf(declaration).startsWith(`${this.#root}/`) && !fileOf(declaration).includes('/node_modules/');
  }

  #targetOf(symbol: TypeScriptSymbol): TypeScriptSymbol {
    const isAlias = (symbol.flags & SymbolFlags.Alias) !== 0;
    return isAlias ? this.#project.checker.getAliasedSymbol(symbol) : symbol;
  }

  /** Quoted as in the sources. */
  #typeText(type: Type | undefined): string {
    if (type === undefined) return '';
    const text = this.#project.checker.typeToString(type, undefined, NodeBuilderFlags.NoTruncation);
    return text.replaceAll('"', "'");
  }
}

function fileOf(declaration: Node): string {
  return declaration.getSourceFile().fileName;
}

/** Not by locale: the order may not depend on the machine. */
function compareTexts(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

import {
  isClassDeclaration,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isIndexSignatureDeclaration,
  isInterfaceDeclaration,
  isIntersectionTypeNode,
  isMethodDeclaration,
  isMethodSignatureDeclaration,
  isTypeAliasDeclaration,
  isTypeLiteralNode,
  isVariableDeclaration,
  type ConstructorDeclaration,
  type FunctionDeclaration,
  type MethodDeclaration,
  type MethodSignatureDeclaration,
  type Node,
  type TypeLiteralNode,
  type TypeNode,
  type VariableDeclaration,
} from 'typescript/unstable/ast';

/** The type that the compiler infers for a declaration that has none written down. */
export type TypeOf = (node: Node) => string;

/** What has parameters, in a class, an interface or by itself. */
export type Callable = FunctionDeclaration | MethodDeclaration | MethodSignatureDeclaration | ConstructorDeclaration;

/** The docstring without its frame of stars; empty when there is none. */
export function docOf(node: Node): string {
  // The docstring of a constant belongs to the whole statement.
  const owner = isVariableDeclaration(node) ? node.parent.parent : node;
  const comment = owner.jsDoc?.at(-1)?.getText() ?? '';
  return comment
    .replace(/^\/\*\*/, '')
    .replace(/\*\/$/, '')
    .replaceAll(/^[ \t]*\* ?/gm, '')
    .trim();
}

/** A declaration as a user of the library would write it down: without bodies, and without members listed apart. */
export function signatureOf(node: Node, typeOf: TypeOf): string {
  if (isCallable(node)) return callable(node, typeOf);
  if (isVariableDeclaration(node)) return constant(node);
  if (isInterfaceDeclaration(node) || isClassDeclaration(node)) return head(node, node.members.pos - 1);
  return isTypeAliasDeclaration(node) ? withoutLiterals(node.type, head(node, node.end)) : head(node, node.end);
}

/** Whether it is one. */
export function isCallable(node: Node): node is Callable {
  return (
    isFunctionDeclaration(node) ||
    isMethodDeclaration(node) ||
    isMethodSignatureDeclaration(node) ||
    isConstructorDeclaration(node)
  );
}

/** The object types whose fields are listed apart: the type itself, or parts of an intersection. */
export function literalsOf(type: TypeNode): readonly TypeLiteralNode[] {
  const parts: readonly Node[] = isIntersectionTypeNode(type) ? type.types : [type];
  return parts.filter(isTypeLiteralNode).filter(({ members }) => !members.every(isIndexSignatureDeclaration));
}

/** A type in one line, without comments. */
export function inline(type: TypeNode): string {
  const text = type.getText().replaceAll(/\/\*[\s\S]*?\*\//g, '');
  return oneLine(text).replace(/^\| /, '');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ');
}

function withoutLiterals(type: TypeNode, text: string): string {
  const literals = literalsOf(type);
  if (literals.length === 0) return text;
  return oneLine(literals.reduce((rest, literal) => rest.replace(literal.getText(), '{ … }'), text));
}

/** A table is too large to show; any other value says more than its type. */
function constant({ name, type, initializer }: VariableDeclaration): string {
  if (type !== undefined) return `const ${name.getText()}: ${inline(type)}`;
  const value = initializer?.getText() ?? '';
  return `const ${name.getText()} = ${value.startsWith('{') ? '{ … }' : value}`;
}

/** Parameters with a default are optional to the caller; `async` and `*` show in the result. */
function callable(node: Callable, typeOf: TypeOf): string {
  const { text } = node.getSourceFile();
  let signature = '';
  let from = node.getStart();
  for (const parameter of node.parameters) {
    const { name, type, initializer } = parameter;
    if (initializer === undefined) continue;
    signature += `${text.slice(from, name.end)}?: ${type === undefined ? typeOf(parameter) : type.getText()}`;
    from = initializer.end;
  }
  const body = 'body' in node ? node.body : undefined;
  signature += text.slice(from, body?.getStart() ?? node.end);
  return dedent(signature, columnOf(node))
    .replace(/^export /, '')
    .replace(/^(static )?(?:override )?(?:async )?\*?/, '$1')
    .replace(/;?\s*$/, '');
}

function head(node: Node, end: number): string {
  const text = node.getSourceFile().text.slice(node.getStart(), end);
  return text.replace(/^export /, '').replace(/;?\s*$/, '');
}

function dedent(text: string, columns: number): string {
  return text.replaceAll(new RegExp(`^ {${columns}}`, 'gm'), '');
}

function columnOf(node: Node): number {
  return node.getSourceFile().getLineAndCharacterOfPosition(node.getStart()).character;
}

import {
  isClassDeclaration,
  isConstructorDeclaration,
  isGetAccessorDeclaration,
  isIndexSignatureDeclaration,
  isInterfaceDeclaration,
  isPrivateIdentifier,
  isPropertyDeclaration,
  isPropertySignatureDeclaration,
  isTypeAliasDeclaration,
  isTypeLiteralNode,
  SyntaxKind,
  type GetAccessorDeclaration,
  type IndexSignatureDeclaration,
  type Node,
  type PropertyDeclaration,
  type PropertySignatureDeclaration,
} from 'typescript/unstable/ast';
import { docOf, inline, isCallable, literalsOf, signatureOf, type Callable, type TypeOf } from './signature.ts';

type Field = PropertySignatureDeclaration | PropertyDeclaration | GetAccessorDeclaration;

/** A field, method or constructor that users see. */
export interface ApiMember {
  /** As written; fields of an object within have the way to them in front, such as `body.restarted`. */
  readonly name: string;
  readonly isMethod: boolean;
  readonly isOptional: boolean;
  /** Of a field: its type, in one line. Of a method: its signature, maybe of several lines. */
  readonly code: string;
  /** Empty when there is none. */
  readonly doc: string;
  /** False for what is described elsewhere: an override by what it overrides, a constructor by its class. */
  readonly needsDoc: boolean;
}

/** The public members of a class, an interface or an object type. */
export function membersOf(node: Node, typeOf: TypeOf): readonly ApiMember[] {
  return memberNodesOf(node).flatMap((member) => membersAt(member, typeOf));
}

/** Whether the member is not for users: private to its class, or marked `@internal`. */
export function isPrivate(node: Node): boolean {
  const name = 'name' in node ? (node.name as Node | undefined) : undefined;
  if (name !== undefined && isPrivateIdentifier(name)) return true;
  return hasModifier(node, SyntaxKind.PrivateKeyword) || docOf(node).includes('@internal');
}

function memberNodesOf(node: Node): readonly Node[] {
  if (isInterfaceDeclaration(node) || isClassDeclaration(node)) return node.members;
  return isTypeAliasDeclaration(node) ? literalsOf(node.type).flatMap(({ members }) => members) : [];
}

function membersAt(node: Node, typeOf: TypeOf, way = ''): readonly ApiMember[] {
  if (isPrivate(node)) return [];
  if (isCallable(node)) return [method(node, typeOf)];
  if (isIndexSignatureDeclaration(node)) return [indexField(node)];
  return isField(node) ? fieldsAt(node, typeOf, way) : [];
}

function method(node: Callable, typeOf: TypeOf): ApiMember {
  const isConstructor = isConstructorDeclaration(node);
  const name = isConstructor ? 'constructor' : (node.name?.getText() ?? '');
  const needsDoc = !isConstructor && !isOverride(node);
  return { name, isMethod: true, isOptional: false, code: signatureOf(node, typeOf), doc: docOf(node), needsDoc };
}

function indexField(node: IndexSignatureDeclaration): ApiMember {
  const name = `[${node.parameters.map((parameter) => parameter.getText()).join()}]`;
  return { name, isMethod: false, isOptional: false, code: inline(node.type), doc: docOf(node), needsDoc: true };
}

/** The field, and those of the object that it is, if it is one. */
function fieldsAt(node: Field, typeOf: TypeOf, way: string): readonly ApiMember[] {
  const name = way + node.name.getText();
  const isOptional = 'postfixToken' in node && node.postfixToken?.kind === SyntaxKind.QuestionToken;
  const inner = node.type === undefined || !isTypeLiteralNode(node.type) ? [] : node.type.members;
  const type = node.type === undefined ? typeOf(node) : inline(node.type);
  const code = inner.length > 0 ? '{ … }' : isOptional ? type.replace(/ \| undefined$/, '') : type;
  const field = { name, isMethod: false, isOptional, code, doc: docOf(node), needsDoc: !isOverride(node) };
  return [field, ...inner.flatMap((member) => membersAt(member, typeOf, `${name}.`))];
}

function isField(node: Node): node is Field {
  return isPropertySignatureDeclaration(node) || isPropertyDeclaration(node) || isGetAccessorDeclaration(node);
}

function isOverride(node: Node): boolean {
  return hasModifier(node, SyntaxKind.OverrideKeyword);
}

function hasModifier(node: Node, kind: SyntaxKind): boolean {
  const modifiers = 'modifiers' in node ? (node.modifiers as readonly Node[] | undefined) : undefined;
  return modifiers?.some((modifier) => modifier.kind === kind) ?? false;
}

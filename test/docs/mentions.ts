import {
  isBlock,
  isExpressionWithTypeArguments,
  isParameterDeclaration,
  isPropertyDeclaration,
  isTypeQueryNode,
  isTypeReferenceNode,
  isVariableDeclaration,
  type Node,
} from 'typescript/unstable/ast';
import { isPrivate } from './members.ts';

/** The names that a declaration's public side refers to, without bodies, initial values and private members. */
export function mentionsIn(node: Node): readonly Node[] {
  const mentions: Node[] = [];
  const visit = (child: Node): void => {
    const name = mentionedBy(child);
    if (name !== undefined) mentions.push(name);
    for (const inner of publicChildrenOf(child)) visit(inner);
  };
  visit(node);
  return mentions;
}

function mentionedBy(node: Node): Node | undefined {
  if (isTypeReferenceNode(node)) return node.typeName;
  if (isTypeQueryNode(node)) return node.exprName;
  return isExpressionWithTypeArguments(node) ? node.expression : undefined;
}

function publicChildrenOf(node: Node): readonly Node[] {
  const children: Node[] = [];
  const isValue = isVariableDeclaration(node) || isPropertyDeclaration(node) || isParameterDeclaration(node);
  const initializer = isValue ? node.initializer : undefined;
  node.forEachChild((child) => {
    if (child !== initializer && !isBlock(child) && !isPrivate(child)) children.push(child);
  });
  return children;
}

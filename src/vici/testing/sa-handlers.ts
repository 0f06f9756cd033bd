import type { ViciSection } from '../message.ts';
import type { FakeAnswer, FakeClient, FakeHandler } from './fake-client.ts';
import type { FakeSas } from './fake-sas.ts';
import type { Loaded } from './loaded.ts';
import { childFieldsOf, findConn, ikeFieldsOf } from './loaded-conns.ts';
import { refusal, SUCCESS } from './replies.ts';
import { isAboutChildren, isEmpty, selectorOf, selectsChild, selectsIke, type SaSelector } from './sa-selector.ts';
import {
  childSection,
  ikeSection,
  isDeleted,
  keyOf,
  withChildren,
  type ChildSaFields,
  type FakeChildSa,
  type FakeIkeSa,
} from './sa-sections.ts';
import { textOf } from './section-text.ts';

/** The commands about SAs. The peer of the fake agrees to everything, and at once. */
export function saHandlers(sas: FakeSas, conns: Loaded): readonly (readonly [string, FakeHandler])[] {
  return [
    ['list-sas', (request, client) => listSas(sas, request, client)],
    ['initiate', (request) => initiate(sas, conns, request)],
    ['terminate', (request) => terminate(sas, selectorOf(request))],
    ['rekey', (request) => rekey(sas, selectorOf(request))],
    ['redirect', () => refusal('no matching SAs to redirect found')],
  ];
}

function listSas(sas: FakeSas, request: ViciSection, client: FakeClient): FakeAnswer {
  const selector = selectorOf(request);
  for (const ike of sas.all) {
    if (!selectsIke(selector, ike)) continue;
    const children = [...ike.children].filter((child) => selectsChild(selector, child));
    const sections = new Map(children.map((child) => [keyOf(child), childSection(child)]));
    client.event('list-sa', { [ike.name]: withChildren(ikeSection(ike), sections) });
  }
  return {};
}

function initiate(sas: FakeSas, conns: Loaded, request: ViciSection): FakeAnswer {
  const ikeName = textOf(request, 'ike');
  const childName = textOf(request, 'child');
  if (ikeName === undefined && childName === undefined) return refusal('missing configuration name');
  const found = findConn(conns, ikeName, childName);
  if (found === undefined) {
    return refusal(`${childName === undefined ? 'IKE_SA' : 'CHILD_SA'} config '${childName ?? ikeName}' not found`);
  }
  const [name, config] = found;
  const ike = [...sas.all].find((one) => one.name === name) ?? sas.ikeUp(name, ikeFieldsOf(config));
  return childName === undefined ? SUCCESS : initiateChild(sas, ike, childName, childFieldsOf(config, childName));
}

/** charon takes a second CHILD SA with the selectors of the first for a duplicate. */
function initiateChild(sas: FakeSas, ike: FakeIkeSa, name: string, fields: ChildSaFields): FakeAnswer {
  const isThere = [...ike.children].some((child) => child.name === name && !isDeleted(child));
  if (isThere) return refusal(`establishing CHILD_SA '${name}' failed`);
  sas.childUp(ike, name, fields);
  return SUCCESS;
}

function terminate(sas: FakeSas, selector: SaSelector): FakeAnswer {
  if (isEmpty(selector)) return refusal('missing terminate selector');
  const { ikes, children } = matching(sas, selector);
  for (const ike of ikes) sas.ikeDown(ike);
  for (const child of children) if (!isDeleted(child)) sas.childDown(child);
  const matches = ikes.length + children.length;
  const counts = { matches, terminated: matches };
  return { ...(matches > 0 ? SUCCESS : refusal('no matching SAs to terminate found')), ...counts };
}

function rekey(sas: FakeSas, selector: SaSelector): FakeAnswer {
  if (isEmpty(selector)) return refusal('missing rekey selector');
  const { ikes, children } = matching(sas, selector);
  for (const ike of ikes) sas.ikeRekey(ike);
  for (const child of children) if (!isDeleted(child)) sas.childRekey(child);
  const matches = ikes.length + children.length;
  return { ...(matches > 0 ? SUCCESS : refusal('no matching SAs to rekey found')), matches };
}

/** CHILD SAs where the selector is about them, otherwise IKE SAs; charon counts replaced ones, too. */
function matching(
  sas: FakeSas,
  selector: SaSelector,
): { readonly ikes: readonly FakeIkeSa[]; readonly children: readonly FakeChildSa[] } {
  const ikes = [...sas.all].filter((ike) => selectsIke(selector, ike));
  if (!isAboutChildren(selector)) return { ikes, children: [] };
  return {
    ikes: [],
    children: ikes.flatMap(({ children }) => [...children]).filter((child) => selectsChild(selector, child)),
  };
}

import type { ViciInput, ViciSection } from '../message.ts';
import type { FakeAnswer, FakeClient, FakeHandler } from './fake-client.ts';
import type { EmitEvent } from './fake-sas.ts';
import { unloadHandler, type Loaded } from './loaded.ts';
import { refusal, SUCCESS } from './replies.ts';
import type { ChildSaFields, IkeSaFields } from './sa-sections.ts';
import { sectionAt, sectionsIn, textOf, textsOf } from './section-text.ts';

/** The commands about connections. What a configuration says is remembered, not checked. */
export function connHandlers(conns: Loaded, emit: EmitEvent): readonly (readonly [string, FakeHandler])[] {
  const unknown = (name: string): string => `unload: connection '${name}' not found`;
  return [
    ['load-conn', (request) => loadConn(conns, request, emit)],
    ['unload-conn', unloadHandler(conns, { key: 'name', missing: 'unload: missing connection name', unknown })],
    ['get-conns', () => ({ conns: [...conns.keys()] })],
    ['list-conns', (request, client) => listConns(conns, textOf(request, 'ike'), client)],
  ];
}

/** Remembers every section of the request as a connection, and gives the names. */
export function loadConns(conns: Loaded, request: ViciSection): readonly string[] {
  const sections = sectionsIn(request);
  for (const [name, config] of sections) conns.set(name, config);
  return sections.map(([name]) => name);
}

/** charon logs what it has loaded, by which a test can have an event at will. */
function loadConn(conns: Loaded, request: ViciSection, emit: EmitEvent): FakeAnswer {
  const names = loadConns(conns, request);
  for (const name of names) emit('log', { group: 'CFG', level: 1, thread: 1, msg: `added vici connection: ${name}` });
  return names.length === request.size ? SUCCESS : refusal('parsing request failed');
}

/** The connection of that name, or the first that has the child. */
export function findConn(
  conns: Loaded,
  ike: string | undefined,
  child: string | undefined,
): readonly [string, ViciSection] | undefined {
  return [...conns].find(
    ([name, config]) =>
      (ike === undefined || ike === name) && (child === undefined || childOf(config, child) !== undefined),
  );
}

/** How an IKE SA of the connection looks. */
export function ikeFieldsOf(config: ViciSection): IkeSaFields {
  return {
    ...known('local-host', textsOf(config, 'local_addrs')[0]),
    ...known('remote-host', textsOf(config, 'remote_addrs')[0]),
    ...known('local-id', textOf(sectionAt(config, 'local'), 'id')),
    ...known('remote-id', textOf(sectionAt(config, 'remote'), 'id')),
  };
}

/** How a CHILD SA of that name looks. */
export function childFieldsOf(config: ViciSection, name: string): ChildSaFields {
  const child = childOf(config, name);
  return {
    ...known('local-ts', listed(child, 'local_ts')),
    ...known('remote-ts', listed(child, 'remote_ts')),
  };
}

function listConns(conns: Loaded, wanted: string | undefined, client: FakeClient): FakeAnswer {
  for (const [name, config] of conns) {
    if (wanted === undefined || wanted === name) client.event('list-conn', { [name]: listing(config) });
  }
  return {};
}

const VERSIONS: Readonly<Record<string, string>> = { 1: 'IKEv1', 2: 'IKEv2' };

/** A part of what charon lists, in its spelling. */
function listing(config: ViciSection): ViciInput {
  return {
    local_addrs: orAny(textsOf(config, 'local_addrs')),
    remote_addrs: orAny(textsOf(config, 'remote_addrs')),
    version: VERSIONS[textOf(config, 'version') ?? ''] ?? 'IKEv1/2',
    reauth_time: textOf(config, 'reauth_time') ?? 0,
    rekey_time: textOf(config, 'rekey_time') ?? 14_400,
    unique: 'UNIQUE_NO',
    'local-1': authListing(sectionAt(config, 'local')),
    'remote-1': authListing(sectionAt(config, 'remote')),
    children: new Map(sectionsIn(sectionAt(config, 'children')).map(([name, child]) => [name, childListing(child)])),
  };
}

function authListing(auth: ViciSection | undefined): ViciInput {
  const isPsk = textOf(auth, 'auth') === 'psk';
  const lists = { groups: [], cert_policy: [], certs: [], cacerts: [] };
  return { id: textOf(auth, 'id'), class: isPsk ? 'pre-shared key' : 'public key', ...lists };
}

/** A part of what charon lists of a child, in its spelling. */
export function childListing(child: ViciSection) {
  return {
    mode: (textOf(child, 'mode') ?? 'tunnel').toUpperCase(),
    rekey_time: textOf(child, 'rekey_time') ?? 3600,
    rekey_bytes: 0,
    rekey_packets: 0,
    dpd_action: 'none',
    close_action: 'none',
    'local-ts': listed(child, 'local_ts') ?? ['dynamic'],
    'remote-ts': listed(child, 'remote_ts') ?? ['dynamic'],
  };
}

/** The configuration of a child. */
export function childOf(config: ViciSection | undefined, name: string): ViciSection | undefined {
  return sectionAt(sectionAt(config, 'children'), name);
}

function listed(section: ViciSection | undefined, key: string): readonly string[] | undefined {
  const texts = textsOf(section, key);
  return texts.length > 0 ? texts : undefined;
}

function orAny(addresses: readonly string[]): readonly string[] {
  return addresses.length > 0 ? addresses : ['%any'];
}

function known<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: V });
}

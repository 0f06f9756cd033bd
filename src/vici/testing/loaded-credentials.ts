import { createHash } from 'node:crypto';
import { itemBytes, type ViciItem, type ViciSection } from '../message.ts';
import type { FakeAnswer, FakeClient, FakeHandler } from './fake-client.ts';
import { refusal, SUCCESS } from './replies.ts';
import { itemAt, sectionsIn, textOf, textsOf } from './section-text.ts';
import { unloadHandler, type Loaded } from './loaded.ts';

/** The commands about certificates, keys, secrets and authorities. Nothing of what is loaded is parsed or used. */
export function credentialHandlers(): readonly (readonly [string, FakeHandler])[] {
  const certificates: Loaded = new Map();
  const keys: Loaded = new Map();
  const secrets: Loaded = new Map();
  return [
    ['load-cert', (request) => loadCertificate(certificates, request)],
    ['list-certs', (_request, client) => listCertificates(certificates, client)],
    ['flush-certs', () => SUCCESS],
    ['load-key', (request) => loadKey(keys, request)],
    ['unload-key', unloadHandler(keys, { key: 'id', missing: 'key id missing', unknown: () => 'key not found' })],
    ['get-keys', () => ({ keys: [...keys.keys()] })],
    ['load-token', () => refusal('loading private key from token failed')],
    ['load-shared', (request) => loadSecret(secrets, request)],
    ['unload-shared', unloadHandler(secrets, { key: 'id', missing: 'unique identifier missing' })],
    // What was loaded without an identifier has no name to list.
    ['get-shared', () => ({ keys: [...secrets.keys()].filter((id) => id !== '') })],
    ['clear-creds', () => clear(certificates, keys, secrets)],
  ];
}

/** The commands about certification authorities. */
export function authorityHandlers(): readonly (readonly [string, FakeHandler])[] {
  const authorities: Loaded = new Map();
  const unknown = (name: string): string => `unload: authority '${name}' not found`;
  return [
    ['load-authority', (request) => loadAuthorities(authorities, request)],
    [
      'unload-authority',
      unloadHandler(authorities, { key: 'name', missing: 'unload: missing authority name', unknown }),
    ],
    ['get-authorities', () => ({ authorities: [...authorities.keys()] })],
    ['list-authorities', (_request, client) => listAuthorities(authorities, client)],
  ];
}

function loadCertificate(certificates: Loaded, request: ViciSection): FakeAnswer {
  if (textOf(request, 'type') === undefined) return refusal('certificate type missing');
  const data = itemAt(request, 'data');
  if (data === undefined) return refusal('certificate data missing');
  certificates.set(sha1(data), request);
  return SUCCESS;
}

function listCertificates(certificates: Loaded, client: FakeClient): FakeAnswer {
  for (const request of certificates.values()) {
    const type = textOf(request, 'type')?.toUpperCase();
    const flag = textOf(request, 'flag')?.toUpperCase() ?? 'NONE';
    client.event('list-cert', { type, flag, data: itemAt(request, 'data') });
  }
  return {};
}

/** charon's identifier is the SHA-1 of the public key; the fake, which has none, takes that of the data. */
function loadKey(keys: Loaded, request: ViciSection): FakeAnswer {
  if (textOf(request, 'type') === undefined) return refusal('key type missing');
  const data = itemAt(request, 'data');
  if (data === undefined) return refusal('key data missing');
  const id = sha1(data);
  keys.set(id, request);
  return { ...SUCCESS, id };
}

function loadSecret(secrets: Loaded, request: ViciSection): FakeAnswer {
  if (textOf(request, 'type') === undefined) return refusal('shared key type missing');
  if (itemAt(request, 'data') === undefined) return refusal('shared key data missing');
  secrets.set(textOf(request, 'id') ?? '', request);
  return SUCCESS;
}

function clear(...all: readonly Loaded[]): FakeAnswer {
  for (const loaded of all) loaded.clear();
  return SUCCESS;
}

function loadAuthorities(authorities: Loaded, request: ViciSection): FakeAnswer {
  for (const [name, authority] of sectionsIn(request)) {
    if (itemAt(authority, 'cacert') === undefined) return refusal(`CA certificate missing: ${name}`);
    authorities.set(name, authority);
  }
  return SUCCESS;
}

function listAuthorities(authorities: Loaded, client: FakeClient): FakeAnswer {
  for (const [name, authority] of authorities) {
    const uris = { crl_uris: textsOf(authority, 'crl_uris'), ocsp_uris: textsOf(authority, 'ocsp_uris') };
    client.event('list-authority', { [name]: { cacert: `CN=${name}`, ...uris } });
  }
  return {};
}

function sha1(data: ViciItem): string {
  return createHash('sha1').update(itemBytes(data)).digest('hex');
}

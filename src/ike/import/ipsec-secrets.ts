import { inFolder } from './credential-folders.ts';
import { ImportError, type Place } from './import-error.ts';
import type { ImportedCredential, PrivateKeyType, SharedKeyType } from './imported.ts';
import type { InputFile, InputFiles } from './input-files.ts';
import { decodeSecret } from './secret-text.ts';
import { Secret } from './secret.ts';
import type { Warnings } from './warnings.ts';

export interface IpsecSecretsContext {
  readonly files: InputFiles;
  readonly warnings: Warnings;
  /** `/etc/ipsec.d/private`. */
  readonly keyFolder: string;
}

const PRIVATE_KEYS: ReadonlyMap<string, PrivateKeyType> = new Map([
  ['RSA', 'rsa'],
  ['ECDSA', 'ecdsa'],
  ['BLISS', 'bliss'],
  ['PKCS8', 'any'],
]);
const SHARED_KEYS: ReadonlyMap<string, SharedKeyType> = new Map([
  ['PSK', 'ike'],
  ['EAP', 'eap'],
  ['XAUTH', 'xauth'],
  ['NTLM', 'ntlm'],
]);
const SECRETS_MAX = 10_000;
/** Each is for up to so many; a line has room for thousands. */
const OWNERS_MAX = 100;

/**
 * Reads an ipsec.secrets (strongSwan: `stroke/stroke_cred.c` load_secrets), with all that it includes. There a line
 * that makes no sense ends the reading; here it throws ImportError, which never quotes the line.
 */
export function readIpsecSecrets(path: string, context: IpsecSecretsContext): readonly ImportedCredential[] {
  const credentials: ImportedCredential[] = [];
  readFile(context.files.open(path), context, credentials);
  return credentials;
}

function readFile(file: InputFile, context: IpsecSecretsContext, credentials: ImportedCredential[]): void {
  let line = 0;
  for (const content of file.text.split('\n')) {
    line += 1;
    const place = { file: file.path, line };
    const text = content.trimStart();
    if (text === '' || text.startsWith('#')) continue;
    const pattern = /^include[ \t]+(\S+)/.exec(text)?.[1];
    if (pattern === undefined) readLine(text, place, context, credentials);
    else for (const inner of context.files.included(pattern, file, place)) readFile(inner, context, credentials);
  }
}

function readLine(text: string, place: Place, context: IpsecSecretsContext, credentials: ImportedCredential[]): void {
  const match = /^(?:: |(.*?) : )[ \t]*(\S+)[ \t]+(.*)$/s.exec(text);
  if (match === null) throw syntaxError(place, 'expected "ID : TYPE SECRET", with a blank on both sides of the colon');
  if (credentials.length >= SECRETS_MAX) throw new ImportError('too-much', place, `more than ${SECRETS_MAX} secrets`);
  const [, ids = '', type = '', rest = ''] = match;
  const owners = ownersOf(ids, place);
  const words = new SecretLine(rest, place);
  const keyType = PRIVATE_KEYS.get(type);
  const sharedType = SHARED_KEYS.get(type);
  if (keyType !== undefined) {
    credentials.push(privateKey(keyType, owners, words, context));
  } else if (sharedType !== undefined) {
    const name = `${sharedType}-${credentials.filter(({ kind }) => kind === 'shared-key').length + 1}`;
    const secret = words.secret() ?? words.missing('the secret');
    credentials.push({ kind: 'shared-key', type: sharedType, name, owners, secret, place });
  } else if (type === 'P12') {
    context.warnings.add(
      place,
      'P12: containers are not opened here; put the file into /etc/swanctl/pkcs12, or take it apart with "openssl pkcs12"',
    );
  } else if (type === 'PIN') {
    context.warnings.add(place, 'PIN: keys on tokens are not carried over; use secrets.token in swanctl.conf by hand');
  } else {
    throw syntaxError(place, 'the type must be RSA, ECDSA, BLISS, PKCS8, P12, PIN, PSK, EAP, XAUTH or NTLM');
  }
}

function privateKey(
  type: PrivateKeyType,
  owners: readonly string[],
  words: SecretLine,
  { keyFolder, warnings }: IpsecSecretsContext,
): ImportedCredential {
  const name = words.value() ?? words.missing('the name of the key file');
  if (name.startsWith('{'))
    throw syntaxError(words.place, 'the key itself in here is a thing of the past: name its file');
  const passphrase = words.secret();
  const prompts = passphrase !== undefined && Buffer.from(passphrase.reveal()).toString('latin1') === '%prompt';
  if (prompts) {
    warnings.add(
      words.place,
      '%prompt: nobody is asked here; decrypt the key with "openssl pkey", or write the passphrase',
    );
  }
  const file = inFolder(keyFolder, name);
  return { kind: 'private-key', type, file, owners, passphrase: prompts ? undefined : passphrase, place: words.place };
}

function ownersOf(ids: string, place: Place): readonly string[] {
  const words = new SecretLine(ids, place);
  const owners: string[] = [];
  for (let id = words.value(); id !== undefined; id = words.value()) {
    if (owners.length >= OWNERS_MAX) throw new ImportError('too-much', place, `more than ${OWNERS_MAX} identities`);
    if (id !== '') owners.push(id);
  }
  return owners;
}

/** The words of a line: quoted with either kind of quote, or up to a blank; `#` ends the line between words. */
class SecretLine {
  readonly place: Place;
  #rest: string;

  constructor(text: string, place: Place) {
    this.#rest = text;
    this.place = place;
  }

  value(): string | undefined {
    return this.#word()?.text;
  }

  /** Quoted text as it is; else `0x` hex, `0s` base64, or the text. */
  secret(): Secret | undefined {
    const word = this.#word();
    if (word === undefined) return undefined;
    return word.quoted ? new Secret(Buffer.from(word.text, 'utf8')) : decodeSecret(word.text, this.place);
  }

  missing(what: string): never {
    throw syntaxError(this.place, `${what} is missing`);
  }

  #word(): { readonly text: string; readonly quoted: boolean } | undefined {
    this.#rest = this.#rest.trimStart();
    if (this.#rest === '' || this.#rest.startsWith('#')) return undefined;
    const quote = /^['"]/.exec(this.#rest)?.[0];
    if (quote === undefined) return { text: this.#take(/^\S+/), quoted: false };
    const end = this.#rest.indexOf(quote, 1);
    if (end === -1) throw syntaxError(this.place, 'a quote that begins here never ends');
    const text = this.#rest.slice(1, end);
    this.#rest = this.#rest.slice(end + 1);
    return { text, quoted: true };
  }

  #take(pattern: RegExp): string {
    const text = pattern.exec(this.#rest)?.[0] ?? '';
    this.#rest = this.#rest.slice(text.length);
    return text;
  }
}

function syntaxError(place: Place, detail: string): ImportError {
  return new ImportError('syntax', place, detail);
}

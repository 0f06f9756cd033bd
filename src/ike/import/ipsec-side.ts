import { isIP } from 'node:net';
import { join } from 'node:path';
import { inFolder } from './credential-folders.ts';
import type { AuthRound, CredentialRef, ImportedSide } from './imported.ts';
import type { IpsecKeywords } from './ipsec-keywords.ts';
import type { IpsecSetup } from './ipsec-setup.ts';
import { splitList } from './options.ts';

/** `left` or `right`, and whether that is this machine. */
export interface IpsecEnd {
  readonly prefix: 'left' | 'right';
  readonly isLocal: boolean;
}

/** What both ends of a conn draw on. */
export interface IpsecSideContext {
  readonly keywords: IpsecKeywords;
  readonly setup: IpsecSetup;
  /** `/etc/ipsec.d`: where file names without a folder lead. */
  readonly credentialFolder: string;
}

const ANY_ADDRESS = '%any';
/** The ones that stand for an address and not for a name with "allow any" in front. */
const ANY_WORDS = [ANY_ADDRESS, '%any4', '%any6'];
const ANY_NETWORKS = ['0.0.0.0/0', '::/0'];
const IKE_PORT = 500;

/** The addresses that an end names, as written; for finding out which end is this machine. */
export function addressesOf(keywords: IpsecKeywords, prefix: IpsecEnd['prefix']): readonly string[] {
  return splitList(keywords.text(prefix) ?? ANY_ADDRESS);
}

/** Addresses and authentication of one end (strongSwan: `confread.c` kw_end, `stroke_config.c` build_auth_cfg). */
export function readSide(context: IpsecSideContext, end: IpsecEnd): ImportedSide {
  const { keywords } = context;
  const port = keywords.count(`${end.prefix}ikeport`, IKE_PORT);
  const rounds = [readRound(context, end, ''), readRound(context, end, '2')];
  return {
    addresses: readAddresses(keywords, end.prefix),
    port: port === IKE_PORT ? undefined : port,
    rounds: rounds.filter((round) => round !== undefined),
  };
}

function readAddresses(keywords: IpsecKeywords, prefix: IpsecEnd['prefix']): readonly string[] {
  const written = (keywords.text(prefix) ?? ANY_ADDRESS).replace(/^%defaultroute$/, ANY_ADDRESS);
  const hasPrefix = written.startsWith('%') && !ANY_WORDS.includes(written);
  const allowAny = keywords.flag(`${prefix}allowany`, false) || hasPrefix;
  const addresses = splitList(hasPrefix ? written.slice(1) : written);
  if (addresses.includes(ANY_ADDRESS)) return [];
  return allowAny ? [...addresses, ...ANY_NETWORKS] : addresses;
}

function readRound(context: IpsecSideContext, end: IpsecEnd, suffix: '' | '2'): AuthRound | undefined {
  const { keywords } = context;
  const named = (keyword: string): string => `${end.prefix}${keyword}${suffix}`;
  const method = authMethod(keywords, end, suffix);
  const certificates = readCertificates(context, named('cert'));
  const publicKeys = suffix === '' ? readPublicKeys(context, end.prefix) : [];
  const caId = readCa(keywords, end, suffix);
  const id = readIdentity(keywords, end, suffix, certificates.length > 0);
  const groups = keywords.list(named('groups'));
  if (method === undefined) {
    keywords.warn(
      named('cert'),
      `${named('cert')}: without ${named('auth')} it is only loaded; put it into swanctl's x509`,
    );
    return undefined;
  }
  return {
    method: method === 'any' ? undefined : method,
    id,
    caId,
    groups,
    certificatePolicies: keywords.list(`${end.prefix}certpolicy`),
    ...identitiesOf(keywords, method),
    revocation: !end.isLocal && isPublicKeyMethod(method) ? context.setup.revocation : undefined,
    certificates,
    caCertificates: [],
    publicKeys,
  };
}

/** Undefined for a second round that is not there. */
function authMethod(keywords: IpsecKeywords, { prefix, isLocal }: IpsecEnd, suffix: '' | '2'): string | undefined {
  const legacy = keywords.oneOf('authby', AUTHBY, undefined);
  const isNew = keywords.text('leftauth') !== undefined || keywords.text('rightauth') !== undefined;
  const written = keywords.text(`${prefix}auth${suffix}`);
  if (isNew || legacy === undefined) return spelling(written ?? (suffix === '' ? 'pubkey' : undefined));
  const xauthSide = keywords.oneOf('xauth', ['client', 'server'], 'client') === 'client' ? isLocal : !isLocal;
  if (suffix === '2') return legacy.startsWith('xauth') && xauthSide ? 'xauth' : spelling(written);
  return /psk|secret/.test(legacy) ? 'psk' : 'pubkey';
}

const AUTHBY = [
  'psk',
  'secret',
  'pubkey',
  'rsa',
  'rsasig',
  'ecdsa',
  'ecdsasig',
  'xauthpsk',
  'xauthrsasig',
  'never',
] as const;

/** What strongSwan does not know it takes for `any`. */
function spelling(method: string | undefined): string | undefined {
  if (method === undefined || /^(?:ike:|pubkey|rsa|ecdsa|bliss|psk$|xauth|eap)/.test(method)) return method;
  return method === 'secret' ? 'psk' : 'any';
}

function isPublicKeyMethod(method: string): boolean {
  return /^(?:ike:|pubkey|rsa|ecdsa|bliss|any$)/.test(method);
}

function identitiesOf(keywords: IpsecKeywords, method: string): Pick<AuthRound, 'eapId' | 'aaaId' | 'xauthId'> {
  const eapId = keywords.text('eap_identity')?.replace(/^%identity$/, '%any');
  const aaaId = keywords.text('aaa_identity');
  const xauthId = keywords.text('xauth_identity');
  if (method.startsWith('eap')) return { eapId, aaaId };
  return method.startsWith('xauth') ? { xauthId } : {};
}

/**
 * Without an identity strongSwan takes the certificate's subject, or else the end's address. charon does the first by
 * itself.
 */
function readIdentity(
  keywords: IpsecKeywords,
  { prefix, isLocal }: IpsecEnd,
  suffix: '' | '2',
  hasCertificate: boolean,
): string | undefined {
  const own = keywords.text(`${prefix}id${suffix}`);
  const written = own ?? (suffix === '2' && isLocal ? keywords.text(`${prefix}id`) : undefined);
  if (written === undefined) return hasCertificate || suffix === '2' ? undefined : addressIdentity(keywords, prefix);
  if (written === '%any' || written === '%any6') return undefined;
  if (!written.startsWith('%')) return written;
  if (!isLocal) {
    keywords.warn(
      `${prefix}id${suffix}`,
      `${prefix}id${suffix}: the "%" (any identity in the peer's certificate will do) cannot be said to charon in ` +
        `another way; now the peer must send exactly "${written.slice(1)}"`,
    );
  }
  return written.slice(1);
}

function addressIdentity(keywords: IpsecKeywords, prefix: IpsecEnd['prefix']): string | undefined {
  const [first = '', ...more] = addressesOf(keywords, prefix);
  const address = first.replace(/^%(?!any[46]?$|defaultroute$)/, '');
  if (more.length > 0) return undefined;
  return isIP(address) !== 0 || /^[a-z0-9.-]*[a-z][a-z0-9.-]*$/i.test(address) ? address : undefined;
}

function readCa(keywords: IpsecKeywords, { prefix, isLocal }: IpsecEnd, suffix: '' | '2'): string | undefined {
  const name = `${prefix}ca${suffix}`;
  const other = `${prefix === 'left' ? 'right' : 'left'}ca${suffix}`;
  const written = keywords.text(name);
  const ca = written === '%same' ? keywords.text(other) : written;
  if (!isLocal) return ca;
  // `rightca=%same` may need it, so that only its own effect is lost.
  keywords.warn(name, `${name}: has no counterpart for the local side; name the certificate with ${prefix}cert`);
  return undefined;
}

function readCertificates({ keywords, credentialFolder }: IpsecSideContext, name: string): readonly CredentialRef[] {
  const [onTokens, files] = partition(keywords.list(name), (item) => item.startsWith('%smartcard'));
  if (onTokens.length > 0) {
    keywords.warn(name, `${name}: certificates on tokens are not carried over; use a cert section in swanctl.conf`);
  }
  return files.map((file) => ({ file: inFolder(join(credentialFolder, 'certs'), file) }));
}

function readPublicKeys(
  { keywords, credentialFolder }: IpsecSideContext,
  prefix: IpsecEnd['prefix'],
): readonly CredentialRef[] {
  const names = [`${prefix}sigkey`, `${prefix}rsasigkey`];
  const written = keywords.text(...names);
  if (written === undefined || written === '' || written === '%cert') return [];
  if (/^(?:dns:|ssh:|%dns$)/i.test(written)) {
    for (const name of names) {
      keywords.warn(name, `${name}: convert the key with "pki --pub" and name its file here`);
    }
    return [];
  }
  if (/^0s/i.test(written)) return [{ base64: written.slice(2) }];
  if (/^0x/i.test(written)) return [{ base64: Buffer.from(written.slice(2), 'hex').toString('base64') }];
  return [{ file: inFolder(join(credentialFolder, 'certs'), written) }];
}

function partition<T>(items: readonly T[], belongsFirst: (item: T) => boolean): readonly [readonly T[], readonly T[]] {
  return [items.filter(belongsFirst), items.filter((item) => !belongsFirst(item))];
}

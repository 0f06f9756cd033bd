import { join } from 'node:path';
import { inFolder } from './credential-folders.ts';
import type { AuthRound, CredentialRef, ImportedChild, ImportedConnection } from './imported.ts';
import { settleMediation } from './mediation-rules.ts';
import {
  authOptions,
  childOptions,
  ikeOptions,
  localOptions,
  mediationOptions,
  remoteOptions,
  splitList,
} from './options.ts';
import type { FlatSection } from './settings-references.ts';
import { SwanctlKeys } from './swanctl-keys.ts';
import type { Warnings } from './warnings.ts';

export interface SwanctlContext {
  /** `/etc/swanctl`: where file names without a folder lead. */
  readonly folder: string;
  readonly warnings: Warnings;
}

/** A part of a connection, and whether charon would have refused it. */
interface Part<T> {
  readonly value: T;
  readonly refused: boolean;
}

/** A connection of a swanctl.conf. Undefined when charon would refuse it. */
export function readSwanctlConnection(section: FlatSection, context: SwanctlContext): ImportedConnection | undefined {
  const { name, place } = section;
  const keys = new SwanctlKeys(section, context.warnings);
  const { mediation = false, mediatedBy, mediationPeer } = keys.options(mediationOptions);
  const local = keys.options(localOptions);
  const remote = keys.options(remoteOptions);
  const ike = keys.options(ikeOptions);
  keys.refuseRest();
  const localRounds = readRounds(section, 'local', context);
  const remoteRounds = readRounds(section, 'remote', context);
  const children = readChildren(section, context);
  const strangers = section.sections.filter(({ name }) => !/^(?:local|remote|children$)/i.test(name));
  for (const stranger of strangers) {
    context.warnings.add(stranger.place, `charon knows no section ${stranger.name} in a connection`);
  }
  if ([keys, localRounds, remoteRounds, children].some(({ refused }) => refused) || strangers.length > 0) {
    context.warnings.add(place, `connection ${name} is left out, because charon would refuse it`);
    return undefined;
  }
  const connection = {
    name,
    place,
    ike,
    local: { ...local, addresses: specific(local.addresses), rounds: localRounds.value },
    remote: { ...remote, addresses: specific(remote.addresses), rounds: remoteRounds.value },
    children: children.value,
  };
  const start = children.value.some(({ startAction }) => startAction?.includes('start'));
  return settleMediation({ connection, mediation, mediatedBy, mediationPeer, start }, (message) =>
    context.warnings.add(place, message),
  );
}

/** None stands for any address. */
function specific(addresses: readonly string[] = []): readonly string[] {
  return addresses.length === 1 && addresses[0] === '%any' ? [] : addresses;
}

/** charon sorts rounds by their number, and leaves those without one in the order of the file. */
function readRounds(
  { sections }: FlatSection,
  side: 'local' | 'remote',
  context: SwanctlContext,
): Part<readonly AuthRound[]> {
  const rounds = sections
    .filter(({ name }) => name.toLowerCase().startsWith(side))
    .map((section) => readRound(section, context))
    .sort((a, b) => a.order - b.order);
  return { value: rounds.map(({ value }) => value), refused: rounds.some(({ refused }) => refused) };
}

function readRound(section: FlatSection, context: SwanctlContext): Part<AuthRound> & { readonly order: number } {
  const keys = new SwanctlKeys(section, context.warnings);
  const order = Number(keys.take('round') ?? 0);
  if (!Number.isInteger(order)) keys.refuse('round', 'round must be a number');
  const refs = (key: string, folder: string): readonly CredentialRef[] =>
    readCredentialRefs(keys.take(key), folder, context.folder);
  const certificates = refs('certs', 'x509');
  const caCertificates = refs('cacerts', 'x509ca');
  const publicKeys = refs('pubkeys', 'pubkey');
  const options = keys.options(authOptions);
  keys.refuseRest();
  const strangers = section.sections.filter(({ name }) => !/^(?:ca)?cert/i.test(name));
  for (const { name } of strangers) keys.refuse(name, `charon knows no section ${name} in a round of authentication`);
  const value = {
    ...options,
    certificates: [...certificates, ...certificateSections(section, /^cert/i, context)],
    caCertificates: [...caCertificates, ...certificateSections(section, /^cacert/i, context)],
    publicKeys,
  };
  return { value, refused: keys.refused, order };
}

/** `cert1 { file = … }`. charon would read the file itself, so the path is absolute. */
function certificateSections(
  { sections }: FlatSection,
  name: RegExp,
  { warnings }: SwanctlContext,
): readonly CredentialRef[] {
  return sections
    .filter((section) => name.test(section.name))
    .flatMap((section) => {
      const keys = new SwanctlKeys(section, warnings);
      const file = keys.take('file');
      keys.warnOfTokens();
      keys.refuseRest();
      return file === undefined ? [] : [{ file }];
    });
}

function readChildren(section: FlatSection, context: SwanctlContext): Part<readonly ImportedChild[]> {
  const children = section.sections
    .filter(({ name }) => name.toLowerCase() === 'children')
    .flatMap(({ sections }) => sections)
    .map((child) => readChild(child, context));
  return { value: children.map(({ value }) => value), refused: children.some(({ refused }) => refused) };
}

function readChild(section: FlatSection, { warnings }: SwanctlContext): Part<ImportedChild> {
  const keys = new SwanctlKeys(section, warnings);
  if (keys.take('updown') !== undefined) {
    keys.warn(
      'updown',
      'updown is not carried over: no scripts are loaded from here; load this connection with swanctl',
    );
  }
  if (keys.take('hostaccess') !== undefined)
    keys.warn('hostaccess', 'hostaccess only tells the updown script something');
  const options = keys.options(childOptions);
  keys.refuseRest();
  return { value: { name: section.name, ...options }, refused: keys.refused };
}

/** A comma-separated list of files, or of `0x` and `0s` data. */
function readCredentialRefs(written: string | undefined, kind: string, folder: string): readonly CredentialRef[] {
  return splitList(written ?? '').map((item) => {
    if (/^0s/i.test(item)) return { base64: item.slice(2) };
    if (/^0x/i.test(item)) return { base64: Buffer.from(item.slice(2), 'hex').toString('base64') };
    return { file: inFolder(join(folder, kind), item) };
  });
}

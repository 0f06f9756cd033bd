import type {
  AuthRound,
  CredentialRef,
  ImportedChild,
  ImportedConfig,
  ImportedConnection,
  ImportedCredential,
  ImportedSide,
} from '../ike/import/imported.ts';
import { formatAge } from './age.ts';
import { printable, type Style } from './style.ts';
import { renderTable, type Row } from './table.ts';

const CERTIFICATE_NAMES = {
  x509: 'certificate',
  x509ca: 'CA certificate',
  x509aa: 'AA certificate',
  x509ocsp: 'OCSP certificate',
  x509ac: 'attribute certificate',
  x509crl: 'CRL',
  pubkey: 'public key',
} as const;
const SHARED_KEY_NAMES = { ike: 'PSK', eap: 'EAP', xauth: 'XAuth', ntlm: 'NTLM', ppk: 'PPK' } as const;

/** An imported configuration for people: a block per connection, then what else there is, then how much. */
export function renderImport(config: ImportedConfig, style: Style): string {
  const sections = [
    config.connections.map((connection) => connectionBlock(connection, style)).join(''),
    credentialTable(config.credentials),
    poolTable(config),
    summary(config),
  ];
  return sections.filter((section) => section !== '').join('\n');
}

function connectionBlock(connection: ImportedConnection, style: Style): string {
  const { name, local, remote, children } = connection;
  const lines = [
    `${style.bold(printable(name))}: ${kindOf(connection)}`,
    `  local   ${sideText(local, 'pubkey')}`,
    `  remote  ${sideText(remote, 'any method')}`,
    `  ${style.dim(ikeText(connection))}`,
    ...children.flatMap((child) => childLines(child, connection.mediation.kind === 'mediated', style)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function kindOf({ ike, mediation }: ImportedConnection): string {
  const version = ike.version === undefined || ike.version === 0 ? 'IKEv1 or IKEv2' : `IKEv${ike.version}`;
  switch (mediation.kind) {
    case 'none':
      return version;
    case 'mediation':
      return `mediation connection${mediation.start ? ', started from here' : ''}`;
    case 'mediated':
      return `mediated by ${printable(mediation.by)}, where the peer is ${printable(mediation.peer)}`;
  }
}

/** `unsaid`: how charon authenticates where the configuration does not say. */
function sideText({ addresses = [], rounds }: ImportedSide, unsaid: string): string {
  const where = addresses.length === 0 ? 'any address' : addresses.join(', ');
  return printable([where, ...rounds.map((round) => roundText(round, unsaid))].join('; '));
}

function roundText({ id, method, certificates, caCertificates, publicKeys }: AuthRound, unsaid: string): string {
  const files = [...certificates, ...caCertificates, ...publicKeys].map(refText);
  const who = id === undefined ? '' : ` as "${id}"`;
  return `${method ?? unsaid}${who}${files.length === 0 ? '' : ` with ${files.join(', ')}`}`;
}

function refText(ref: CredentialRef): string {
  return 'file' in ref ? ref.file : 'a key in the file itself';
}

function ikeText({ ike, children }: ImportedConnection): string {
  const { rekeySeconds = 0, reauthSeconds = 0, dpdDelaySeconds = 0 } = ike;
  const texts = [
    rekeySeconds > 0 ? `rekeys after ${formatAge(rekeySeconds)}` : '',
    reauthSeconds > 0 ? `reauthenticates after ${formatAge(reauthSeconds)}` : '',
    dpdDelaySeconds > 0 ? `checks the peer every ${formatAge(dpdDelaySeconds)}` : 'never checks the peer',
    children.length === 0 ? 'no CHILD SA' : '',
  ];
  return texts.filter((text) => text !== '').join(', ');
}

const START_TEXTS = {
  none: 'answers only',
  trap: 'started by traffic',
  start: 'started on loading',
  'trap|start': 'started on loading and by traffic',
} as const;

function childLines(child: ImportedChild, isMediated: boolean, style: Style): readonly string[] {
  const { name, localTs = ['dynamic'], remoteTs = ['dynamic'], startAction = 'none', rekeySeconds = 0 } = child;
  const starts = isMediated && startAction !== 'none' ? 'started once the mediator is there' : START_TEXTS[startAction];
  const mode = child.mode === undefined || child.mode === 'tunnel' ? '' : `${child.mode}, `;
  const rekeys = rekeySeconds > 0 ? `, rekeys after ${formatAge(rekeySeconds)}` : '';
  return [
    `  child ${printable(name)}: ${printable(`${localTs.join(' ')} === ${remoteTs.join(' ')}`)}`,
    `    ${style.dim(`${mode}${starts}${rekeys}`)}`,
  ];
}

function credentialTable(credentials: readonly ImportedCredential[]): string {
  if (credentials.length === 0) return '';
  return renderTable(['CREDENTIAL', 'FOR', 'WHAT'], credentials.map(credentialRow));
}

function credentialRow(credential: ImportedCredential): Row {
  switch (credential.kind) {
    case 'certificate':
      return { cells: [CERTIFICATE_NAMES[credential.type], '', credential.file] };
    case 'private-key': {
      const { owners, file, passphrase } = credential;
      return {
        cells: ['private key', owners.join(' '), passphrase === undefined ? file : `${file} (with passphrase)`],
      };
    }
    case 'shared-key': {
      const owners = credential.owners.length === 0 ? 'everybody' : credential.owners.join(' ');
      return { cells: [SHARED_KEY_NAMES[credential.type], owners, 'a secret, not shown'] };
    }
  }
}

function poolTable({ pools, authorities }: ImportedConfig): string {
  const rows = [
    ...pools.map(({ name, addresses }) => ({ cells: ['pool', name, addresses] })),
    ...authorities.map(({ name, file }) => ({ cells: ['authority', name, file] })),
  ];
  return rows.length === 0 ? '' : renderTable(['BESIDES', 'NAME', 'WHAT'], rows);
}

function summary({ connections, credentials, warnings }: ImportedConfig): string {
  const counts = [
    counted(connections.length, 'connection'),
    counted(credentials.length, 'credential'),
    counted(warnings.length, 'warning'),
  ];
  return `${counts.join(', ')}\n`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

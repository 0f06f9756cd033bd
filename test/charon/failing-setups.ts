import { X509Certificate } from 'node:crypto';
import { issueIkeCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { mediationIdentity } from '../../src/identity/names.ts';
import type { ViciAuthConfig, ViciSession } from '../../src/vici/index.ts';
import { meshCa, publicKeyOf, SUBJECT } from '../identity/mesh.ts';
import { LEFT, RIGHT, type Side } from './charon-pair.ts';

/** The connection at both ends, also when they do not agree about anything else. */
export const CONNECTION = 'cygnet-left--right';

/** What one end loads, where it is not what makes a tunnel work. */
export interface EndConfig {
  /** Loads no connection at all. */
  readonly absent?: boolean;
  readonly remoteAddress?: string;
  readonly remoteId?: string;
  readonly secret?: string | undefined;
  /** Certificates instead of secrets: who issued the own one, and which CA the peer's must be from. */
  readonly certificates?: {
    readonly own: MeshCa;
    readonly trusted: MeshCa;
    readonly required?: MeshCa;
    /** Default: now. */
    readonly issuedMs?: number;
  };
  readonly proposals?: readonly string[];
  readonly espProposals?: readonly string[];
  readonly remoteSubnet?: string;
}

/** A pair of configurations that charon cannot make a tunnel of, whatever the initiator tries. */
export interface FailingSetup {
  readonly left?: EndConfig;
  readonly right?: EndConfig;
}

const OURS = await meshCa();
const THEIRS = await meshCa('other.example');
const AES128 = ['aes128-sha256-ecp256'];
const AES256 = ['aes256-sha384-ecp384'];

/** Each of them really happens when the left one initiates. */
export const FAILING_SETUPS = {
  'a wrong secret': { right: { secret: 'another one' } },
  'no secret of its own': { left: { secret: undefined } },
  'a certificate that the responder does not trust': {
    left: { certificates: { own: THEIRS, trusted: OURS } },
    right: { certificates: { own: OURS, trusted: OURS } },
  },
  'a certificate that the initiator does not trust': {
    left: { certificates: { own: OURS, trusted: OURS } },
    right: { certificates: { own: THEIRS, trusted: OURS } },
  },
  'a trusted certificate of another CA than the one required': {
    left: { certificates: { own: OURS, trusted: OURS, required: THEIRS } },
    right: { certificates: { own: OURS, trusted: OURS } },
  },
  'an expired certificate': {
    left: { certificates: { own: OURS, trusted: OURS, issuedMs: Date.UTC(2020, 0) } },
    right: { certificates: { own: OURS, trusted: OURS } },
  },
  'IKE proposals that do not fit': { left: { proposals: AES128 }, right: { proposals: AES256 } },
  'ESP proposals that do not fit': {
    left: { espProposals: ['aes128-sha256'] },
    right: { espProposals: ['aes256-sha256'] },
  },
  'selectors that do not fit': { right: { remoteSubnet: '10.77.0.0/24' } },
  'a responder that knows no such peer': { right: { remoteId: 'somebody.else.example' } },
  'a responder without any connection': { right: { absent: true } },
  'a responder that is not there': { left: { remoteAddress: '10.99.0.3' } },
} as const satisfies Record<string, FailingSetup>;

/** Loads both ends of a set-up; they were unloaded before. */
export async function loadBoth(left: ViciSession, right: ViciSession, setup: FailingSetup): Promise<void> {
  await loadEnd(left, { own: LEFT, peer: RIGHT, config: setup.left ?? {} });
  await loadEnd(right, { own: RIGHT, peer: LEFT, config: setup.right ?? {} });
}

/** Forgets what `loadBoth` gave a charon, and the SAs of it. */
export async function unload(session: ViciSession): Promise<void> {
  await session.request('unload-conn', { name: CONNECTION });
  await session.request('terminate', { ike: CONNECTION, force: 'yes', timeout: -1 });
  await session.call('clear-creds');
}

interface End {
  readonly own: Side;
  readonly peer: Side;
  readonly config: EndConfig;
}

async function loadEnd(session: ViciSession, { own, peer, config }: End): Promise<void> {
  if (config.absent === true) return;
  const secret = 'secret' in config ? config.secret : 'for the test only';
  if (secret !== undefined) await session.call('load-shared', { type: 'IKE', data: secret, owners: [own.id, peer.id] });
  await session.call('load-conn', {
    [CONNECTION]: {
      version: 2,
      local_addrs: [own.address],
      remote_addrs: [config.remoteAddress ?? peer.address],
      ...(config.proposals !== undefined && { proposals: config.proposals }),
      ...(config.certificates === undefined
        ? { local: { auth: 'psk', id: own.id }, remote: { auth: 'psk', id: config.remoteId ?? peer.id } }
        : await certified(session, { own, peer, config: config.certificates })),
      children: {
        [CONNECTION]: {
          local_ts: [own.subnet],
          remote_ts: [config.remoteSubnet ?? peer.subnet],
          ...(config.espProposals !== undefined && { esp_proposals: config.espProposals }),
        },
      },
    },
  });
}

type Certificates = NonNullable<EndConfig['certificates']>;

async function certified(
  session: ViciSession,
  { own, peer, config }: { readonly own: Side; readonly peer: Side; readonly config: Certificates },
): Promise<Record<'local' | 'remote', ViciAuthConfig>> {
  const key = await generatePrivateKey('ecdsa-p256');
  const certificate = await issueIkeCertificate(config.own, {
    node: nodeOf(own),
    publicKey: publicKeyOf(key),
    nowMs: config.issuedMs ?? Date.now(),
  });
  for (const ca of new Set([config.trusted, config.required ?? config.trusted])) {
    await session.call('load-cert', { type: 'X509', flag: 'CA', data: derOf(ca.certificatePem) });
  }
  await session.call('load-key', { type: 'any', data: key });
  const required = config.required === undefined ? {} : { cacerts: [derOf(config.required.certificatePem)] };
  return {
    local: { auth: 'pubkey', id: mediationIdentity(SUBJECT, nodeOf(own)), certs: [derOf(certificate)] },
    remote: { auth: 'pubkey', id: mediationIdentity(SUBJECT, nodeOf(peer)), ...required },
  };
}

function nodeOf({ id }: Side): string {
  return id.replace('.example', '');
}

function derOf(pem: string): Uint8Array {
  return new X509Certificate(pem).raw;
}

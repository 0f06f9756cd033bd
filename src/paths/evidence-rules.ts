/** What a line of charon's log can prove about a set-up. */
export const EVIDENCE_CODES = [
  'auth-failed',
  'no-proposal',
  'ts-unacceptable',
  'peer-refused',
  'peer-offline',
  'stuck-in-charon',
  'checks-failed',
] as const;
export type EvidenceCode = (typeof EVIDENCE_CODES)[number];

/** Who found it: this charon by itself; the peer, by what it sent or by its silence; or the mediator. */
export type EvidenceSource = 'own' | 'peer' | 'mediator';

/** How to recognise a piece of evidence, and what it is. */
export interface EvidenceRule {
  readonly code: EvidenceCode;
  readonly source: EvidenceSource;
  /** For the operator: what it means and what to do. */
  readonly advice: string;
  /** See `Evidence.isHint`. */
  readonly isHint?: boolean;
  /** charon's subsystem. */
  readonly group: 'IKE' | 'CFG' | 'ENC' | 'JOB';
  /** Anchored at the beginning. In `mediated-peer` the first group is the peer's identity. */
  readonly pattern: RegExp;
  /** What the line's IKE SA is: of the connection itself, of its mediation connection, or of no use. */
  readonly about: 'connection' | 'mediated-peer' | 'mediation' | 'named-mediation' | 'others';
}

type Finding = Omit<EvidenceRule, 'group' | 'pattern'>;

const NOT_TRUSTED: Finding = {
  code: 'auth-failed',
  source: 'own',
  about: 'connection',
  advice:
    'This node cannot authenticate the peer, or itself: the certificate is expired, revoked, for another name or from ' +
    'another CA, or a key or secret is missing or different. Check the clocks of both nodes, then enrol the node anew ' +
    'whose certificate is wrong.',
};
const NOT_TRUSTED_THERE: Finding = {
  code: 'auth-failed',
  source: 'peer',
  about: 'connection',
  advice:
    'The peer did not accept who this node says it is, or has no connection for it. The reason is in the log of the ' +
    "peer's charon only: look there, and check that both nodes have the same generation of the mesh.",
};
const NO_PROPOSAL: Finding = {
  code: 'no-proposal',
  source: 'own',
  about: 'connection',
  advice: 'The two ends share no cipher suite. Give both the same proposals, and strongSwan plugins that have them.',
};
const NO_PROPOSAL_THERE: Finding = {
  code: 'no-proposal',
  source: 'peer',
  about: 'connection',
  advice:
    'The peer accepts none of the cipher suites that this node offers, or has nothing loaded for these addresses at ' +
    'all. Check that it is up to date, then give both ends the same proposals.',
};
const SELECTORS: Finding = {
  code: 'ts-unacceptable',
  source: 'own',
  about: 'connection',
  advice:
    'The peer asked for subnets that this node does not have for it. Compare the subnets in the mesh spec with what ' +
    'both ends have loaded: one of them has an older generation.',
};
const SELECTORS_THERE: Finding = {
  code: 'ts-unacceptable',
  source: 'peer',
  about: 'connection',
  advice:
    'The peer does not accept the subnets that this node asks for. Compare the subnets in the mesh spec with what both ' +
    'ends have loaded: one of them has an older generation.',
};
const STRANGER: Finding = {
  code: 'peer-refused',
  source: 'own',
  about: 'connection',
  advice:
    'This node refused somebody for whom it has no connection. If it is a node of the mesh, one of the two has an older ' +
    'generation, or their identities differ.',
};
const REFUSED_THERE: Finding = {
  code: 'peer-refused',
  source: 'peer',
  about: 'connection',
  advice: "The peer refused the set-up with an error. What it dislikes is in the log of the peer's charon.",
};
const GONE_AT_ONCE: Finding = {
  code: 'peer-refused',
  source: 'peer',
  about: 'connection',
  isHint: true,
  advice: "The peer ended the SA as soon as it was there. Why is in the log of the peer's charon and of its agent.",
};
const SILENT: Finding = {
  code: 'peer-offline',
  source: 'peer',
  about: 'connection',
  advice:
    'The peer does not answer: it is off, its charon does not run, or UDP 500 and 4500 do not get through to it and back.',
};
const NO_ADDRESS: Finding = {
  code: 'peer-offline',
  source: 'own',
  about: 'connection',
  advice: "The peer's host name has no address. Check the endpoint in the mesh spec and this node's DNS.",
};
const NOT_REGISTERED: Finding = {
  code: 'peer-offline',
  source: 'mediator',
  about: 'mediated-peer',
  advice:
    'The mediator does not know the peer: its mediation connection is down, or it is registered elsewhere. The tunnel ' +
    'comes up when it registers; until then look at the peer.',
};
const MEDIATOR_LOST_IT: Finding = {
  code: 'peer-offline',
  source: 'mediator',
  about: 'others',
  advice:
    'This mediator could not pass a request on, and the node that sent it is not told: its pair hangs until the other ' +
    'end initiates.',
};
const QUEUED: Finding = {
  code: 'stuck-in-charon',
  source: 'own',
  about: 'connection',
  isHint: true,
  advice:
    'charon still waits for an earlier mediation with this peer, perhaps for ever, and begins no other. The other end ' +
    'can initiate; else a restart of this charon helps.',
};
const NOT_MEDIATED: Finding = {
  code: 'stuck-in-charon',
  source: 'own',
  about: 'connection',
  advice:
    'The mediation connection failed while this peer waited for it. charon goes on taking the mediation for one in ' +
    'progress and begins no other. Once the mediator answers the other end can initiate; else a restart of this charon ' +
    'helps.',
};
const OUT_OF_ORDER: Finding = {
  code: 'stuck-in-charon',
  source: 'own',
  about: 'named-mediation',
  advice:
    "The peer's answer overtook the mediator's confirmation, and charon dropped it: this mediation waits for ever. The " +
    'other end can initiate; else a restart of this charon helps.',
};
const NO_MEDIATION: Finding = {
  code: 'peer-refused',
  source: 'mediator',
  about: 'connection',
  advice: 'The machine at this address is no mediator. Check the endpoint in the mesh spec and what runs there.',
};
const NO_PAIR_YET: Finding = {
  code: 'checks-failed',
  source: 'own',
  about: 'mediation',
  isHint: true,
  advice:
    'Every pair of addresses was tried and none has answered: a firewall drops UDP between the two sites, or both are ' +
    'behind NAT that takes a new port for each destination. The relay goes on; to go direct open UDP 4500 on one side.',
};

const ike = (finding: Finding, pattern: RegExp): EvidenceRule => ({ ...finding, group: 'IKE', pattern });
const cfg = (finding: Finding, pattern: RegExp): EvidenceRule => ({ ...finding, group: 'CFG', pattern });

/**
 * The first one that matches counts. What charon says at level 1 or below, that is all that the event `log` carries;
 * file names are below `src/libcharon/sa` of strongSwan's source unless they say otherwise. Notifies that this end sends
 * are not looked for: each has a line of its own before it, that says why.
 */
export const EVIDENCE_RULES: readonly EvidenceRule[] = [
  // ikev2/authenticators/psk_authenticator.c, pubkey_authenticator.c
  ike(NOT_TRUSTED, /^tried \d{1,9} shared keys? for '/),
  ike(NOT_TRUSTED, /^no shared key found for '/),
  ike(NOT_TRUSTED, /^no private key found for '/),
  ike(NOT_TRUSTED, /^no trusted \S{1,32} public key found for '/),
  ike(NOT_TRUSTED, /^signature validation failed, looking for another key/),
  ike(NOT_TRUSTED, /^authentication of '[^\n]{0,1024}' \(myself\)[^\n']{0,64} failed$/),
  // src/libstrongswan/credentials: auth_cfg.c, credential_manager.c; plugins/revocation/revocation_validator.c
  cfg(NOT_TRUSTED, /^constraint (?:check failed: |requires )/),
  cfg(NOT_TRUSTED, /^(?:subject|issuer) certificate invalid \(valid from /),
  cfg(NOT_TRUSTED, /^certificate was revoked on /),
  cfg(NOT_TRUSTED, /^no issuer certificate found for "/),
  // ikev2/tasks/ike_auth.c
  cfg(NOT_TRUSTED, /^selected peer config '[^\n']{1,255}' unacceptable: /),
  cfg(NOT_TRUSTED, /^received IDr /),
  ike(NOT_TRUSTED_THERE, /^received AUTHENTICATION_FAILED notify/),
  // ikev2/task_manager_v2.c: an initiator that does not trust the responder; nothing else is said about it there.
  { ...NOT_TRUSTED_THERE, group: 'ENC', pattern: /^parsed INFORMATIONAL request \d{1,10} \[ N\(AUTH_FAILED\)/ },

  // ikev2/tasks/ike_init.c, child_create.c; 6.0 says "key exchange method" for "DH group"
  ike(NO_PROPOSAL, /^received proposals unacceptable/),
  ike(NO_PROPOSAL, /^no acceptable proposal found/),
  ike(NO_PROPOSAL, /^peer(?:'s|s) proposal selection invalid/),
  ike(NO_PROPOSAL, /^peer(?:'s)? (?:DH group|key exchange method) selection invalid/),
  ike(NO_PROPOSAL, /^(?:configured|requested|negotiated|selected) (?:DH group|key exchange method) \S{1,32} not /),
  ike(NO_PROPOSAL, /^applying (?:DH|KE|key exchange) public (?:value|key) failed/),
  ike(NO_PROPOSAL, /^already retried with (?:DH group|key exchange method) /),
  ike(NO_PROPOSAL, /^giving up after \d{1,9} retries/),
  ike(NO_PROPOSAL_THERE, /^received NO_PROPOSAL_CHOSEN notify/),

  // ikev2/tasks/child_create.c
  ike(SELECTORS, /^traffic selectors [^\n]{0,4000} unacceptable$/),
  ike(SELECTORS, /^no acceptable traffic selectors found/),
  ike(SELECTORS_THERE, /^received TS_UNACCEPTABLE notify/),

  // ikev2/tasks/ike_auth.c, ikev2/task_manager_v2.c
  cfg(STRANGER, /^no matching peer config found/),
  ike(STRANGER, /^no IKE config found for /),
  // ikev2/tasks/ike_init.c, ike_auth.c, child_create.c; ikev2/task_manager_v2.c. 6.0.x retries after "received X notify".
  ike(REFUSED_THERE, /^received \S{1,64} notify(?: error|, no CHILD_SA built)/),
  // ikev2/tasks/ike_delete.c
  ike(GONE_AT_ONCE, /^received DELETE for IKE_SA /),
  // ikev2/tasks/ike_me.c
  ike(NO_MEDIATION, /^server did not return a ME_MEDIATION/),

  // ikev2/task_manager_v2.c, ike_sa.c
  ike(SILENT, /^giving up after \d{1,9} retransmits/),
  ike(SILENT, /^peer not responding, trying again /),
  ike(SILENT, /^(?:establishing|rekeying) IKE_SA failed, peer not responding/),
  ike(SILENT, /^proper IKE_SA delete failed, peer not responding/),
  ike(NO_ADDRESS, /^unable to resolve [^\n,]{1,1024}, (?:initiate aborted|retrying in )/),
  // ../processing/jobs/delete_ike_sa_job.c, mediation_job.c (on the mediator)
  { ...SILENT, group: 'JOB', pattern: /^deleting half open IKE_SA / },
  { ...MEDIATOR_LOST_IT, group: 'JOB', pattern: /^(?:mediation between|callback for) '[^\n]{0,2048}' failed/ },
  // ikev2/tasks/ike_me.c
  ike(NOT_REGISTERED, /^peer '([^\n]{1,1024})' is not online$/),

  // ../processing/jobs/initiate_mediation_job.c: whatever fails there, the pair stays registered as in progress.
  ike(QUEUED, /^mediation with the same peer is already in progress, queued/),
  ike(NOT_MEDIATED, /^(?:initiating|establishing) mediation connection failed/),
  // ikev2/connect_manager.c
  ike(NOT_MEDIATED, /^establishing mediated connection failed/),
  // Without an IKE SA's name it is a check or a set-up that came late, after any success too; with more words as well.
  ike(OUT_OF_ORDER, /^checklist with id '[0-9a-f:]{1,64}' (?:not found$|already exists, aborting)/),
  ike(NO_PAIR_YET, /^no pairs in waiting state, aborting/),
];

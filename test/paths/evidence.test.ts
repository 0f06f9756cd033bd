import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EVIDENCE_CODES, EVIDENCE_RULES } from '../../src/paths/evidence-rules.ts';
import { evidenceOf, QUOTE_CHARACTERS_MAX, type CharonLogLine } from '../../src/paths/evidence.ts';
import { STRONGSWAN_VERSIONS } from '../lab/strongswan.ts';
import { capturedLines } from './captured-log.ts';
import { inWords, PROVEN } from './proven-evidence.ts';

const line = (group: string, msg: string, name?: string): CharonLogLine => ({ group, msg, 'ikesa-name': name });

describe.each(STRONGSWAN_VERSIONS)('what the log of strongSwan %s proves', (version) => {
  const lines = capturedLines(version);

  it.each([...new Set(lines.map(({ scenario }) => scenario))])('of %s', (scenario) => {
    const proven: Record<string, string[]> = {};
    for (const captured of lines.filter((one) => one.scenario === scenario)) {
      const evidence = evidenceOf(captured);
      if (evidence === undefined || evidence.isHint) continue;
      const ofEnd = (proven[captured.end] ??= []);
      if (!ofEnd.includes(inWords(evidence))) ofEnd.push(inWords(evidence));
    }
    expect(proven).toEqual(PROVEN[scenario]);
  });
});

/**
 * Lines that no lab made happen, as strongSwan's source has them: with the values that a printf would put in, in both
 * spellings where 6.0 has another one.
 */
const FROM_SOURCE: readonly (readonly [words: string, group: string, msg: string])[] = [
  ['auth-failed by own', 'IKE', "no private key found for 'CN=left'"],
  ['auth-failed by own', 'IKE', 'signature validation failed, looking for another key'],
  ['auth-failed by own', 'IKE', "authentication of 'CN=left' (myself) failed"],
  ['auth-failed by own', 'IKE', "authentication of 'CN=left' (myself) with ECDSA_WITH_SHA256_DER failed"],
  [
    'auth-failed by own',
    'CFG',
    "constraint check failed: identity 'CN=a' (ID_DER_ASN1_DN) required, not matched by 'b'",
  ],
  ['auth-failed by own', 'CFG', 'constraint requires public key authentication, but pre-shared key was used'],
  ['auth-failed by own', 'CFG', 'issuer certificate invalid (valid from Jan 01 00:00:00 2026 to Jan 02 00:00:00 2026)'],
  ['auth-failed by own', 'CFG', 'certificate was revoked on Jan 01 00:00:00 UTC 2026, reason: key compromise'],
  ['auth-failed by own', 'CFG', 'received IDr CN=right, but require CN=other'],
  ['no-proposal by own', 'IKE', 'peers proposal selection invalid'],
  ['no-proposal by own', 'IKE', "peer's proposal selection invalid"],
  ['no-proposal by own', 'IKE', 'peer DH group selection invalid'],
  ['no-proposal by own', 'IKE', "peer's key exchange method selection invalid"],
  ['no-proposal by own', 'IKE', 'requested DH group MODP_1024 not supported'],
  ['no-proposal by own', 'IKE', 'requested DH group MODP_1024 not contained in any of our proposals'],
  ['no-proposal by own', 'IKE', 'requested key exchange method ML_KEM_768 not contained in any of our proposals'],
  ['no-proposal by own', 'IKE', 'applying DH public value failed'],
  ['no-proposal by own', 'IKE', 'applying KE public value failed'],
  ['no-proposal by own', 'IKE', 'applying key exchange public value failed'],
  ['no-proposal by own', 'IKE', 'already retried with DH group ECP_256, ignore requested ECP_384'],
  ['no-proposal by own', 'IKE', 'already retried with key exchange method ECP_256, ignore requested ECP_384'],
  ['no-proposal by own', 'IKE', 'giving up after 5 retries'],
  ['ts-unacceptable by own', 'IKE', 'no acceptable traffic selectors found'],
  ['peer-refused by peer', 'IKE', 'received INVALID_SYNTAX notify error, destroying IKE_SA'],
  ['peer-refused by peer', 'IKE', 'received INTERNAL_ADDRESS_FAILURE notify, no CHILD_SA built'],
  ['peer-refused by peer', 'IKE', 'received (12345) notify error'],
  ['peer-refused by mediator', 'IKE', 'server did not return a ME_MEDIATION, aborting'],
  ['peer-offline by peer', 'IKE', 'peer not responding, trying again (2/3)'],
  ['peer-offline by peer', 'IKE', 'proper IKE_SA delete failed, peer not responding'],
  ['peer-offline by peer', 'IKE', 'rekeying IKE_SA failed, peer not responding'],
  ['peer-offline by own', 'IKE', 'unable to resolve vpn.example, initiate aborted'],
  ['peer-offline by own', 'IKE', 'unable to resolve vpn.example, retrying in 5s'],
  ['peer-offline by peer', 'JOB', 'deleting half open IKE_SA with 10.99.0.1 after timeout'],
  ['peer-offline by peer', 'JOB', 'deleting half open IKE_SA cygnet-a[3] with 10.99.0.1 after timeout'],
  ['peer-offline by mediator', 'JOB', "mediation between 'CN=a' and 'CN=b' failed: peer is not online anymore"],
  ['peer-offline by mediator', 'JOB', "callback for 'CN=a' to 'CN=b' failed"],
  ['stuck-in-charon by own', 'IKE', 'establishing mediation connection failed'],
  ['stuck-in-charon by own', 'IKE', 'establishing mediated connection failed'],
  ['stuck-in-charon by own', 'IKE', "checklist with id '1a:1a:70:a9' already exists, aborting"],
];

it.each(FROM_SOURCE)('%s: %s %s', (words, group, msg) => {
  const evidence = evidenceOf(line(group, msg, 'cygnet-any'));
  expect(evidence && inWords(evidence)).toBe(words);
});

it('has a line for every rule', () => {
  const known = [
    ...STRONGSWAN_VERSIONS.flatMap((version) => [...capturedLines(version)]),
    ...FROM_SOURCE.map(([, group, msg]) => line(group, msg)),
  ];
  const untried = EVIDENCE_RULES.filter(
    ({ group, pattern }) => !known.some((one) => one.group === group && pattern.test(one.msg)),
  );
  expect(untried).toEqual([]);
});

it('knows a rule for every code, and says what to do about it', () => {
  expect(new Set(EVIDENCE_RULES.map(({ code }) => code))).toEqual(new Set(EVIDENCE_CODES));
  for (const { advice } of EVIDENCE_RULES) expect(advice).toMatch(/^(?:[A-Z]|charon ).{40,400}\.$/);
});

describe('what proves nothing', () => {
  it.each<[string, CharonLogLine]>([
    ['a retransmission', line('IKE', 'retransmit 1 of request with message ID 0', 'cygnet-a')],
    [
      'a DH group that is asked for anew',
      line('IKE', "peer didn't accept DH group ECP_256, it requested ECP_384", 'a'),
    ],
    ['a refusal that charon tries again by itself', line('IKE', 'received TEMPORARY_FAILURE notify, will retry later')],
    ['the same on 6.0', line('IKE', 'received TEMPORARY_FAILURE notify')],
    ['a check that came after the end of the checks', line('IKE', "checklist with id '1a:1a:70:a9' not found")],
    [
      'a set-up that came after the end of the checks',
      line('IKE', "checklist with id '1a:1a:70:a9' not found", '(unnamed)'),
    ],
    [
      'a retransmission after the end of the checks',
      line('IKE', "checklist with id '1a:1a:70:a9' not found, can't retransmit connectivity check"),
    ],
    ['a message of another subsystem', line('NET', 'received proposals unacceptable', 'cygnet-a')],
  ])('%s', (_what, one) => expect(evidenceOf(one)).toBeUndefined());

  it.each([
    'looking for peer configs matching 10.0.0.1[x]...10.0.0.2[peer not responding, trying again (1/3)]',
    "authentication of 'no shared key found for ' (myself) failed' with ECDSA_WITH_SHA256_DER successful",
    'IKE_SA cygnet-a[1] established between 10.0.0.1[x]...10.0.0.2[received NO_PROPOSAL_CHOSEN notify error]',
    'received end entity cert "\nreceived TS_UNACCEPTABLE notify, no CHILD_SA built"',
  ])('an identity that was chosen to look like evidence: %j', (msg) => {
    for (const group of ['IKE', 'CFG', 'ENC', 'JOB']) expect(evidenceOf(line(group, msg, 'cygnet-a'))).toBeUndefined();
  });
});

describe('a quote', () => {
  const evidenceWith = (identity: string) =>
    evidenceOf(line('IKE', `no shared key found for '${identity}' - 'x'`, 'a'));

  it('shows nothing that is not printable', () => {
    expect(evidenceWith('a\u001b[31m\nb\u202ec')?.quote).toBe("no shared key found for 'a?[31m?b?c' - 'x'");
  });

  it('is cut, and says so', () => {
    const quote = evidenceWith('x'.repeat(100_000))?.quote ?? '';
    expect(quote).toHaveLength(QUOTE_CHARACTERS_MAX);
    expect(quote.endsWith('...')).toBe(true);
  });

  it('keeps within its limits whatever a line holds', () =>
    fc.assert(
      fc.property(fc.constantFrom(...EVIDENCE_RULES), fc.string({ unit: 'binary', maxLength: 300 }), (rule, text) => {
        const beginning = rule.pattern.source.replaceAll(/^\^|\\d\{.*$|\[.*$|\(.*$|\\S.*$|\$$/g, '');
        const quote = evidenceOf(line(rule.group, beginning + text, 'cygnet-a'))?.quote ?? '';
        expect(quote).toMatch(/^[\x20-\x7e]*$/);
        expect(quote.length).toBeLessThanOrEqual(QUOTE_CHARACTERS_MAX);
      }),
    ));
});

it('reads the longest line that VICI can carry as quickly as a short one, however it was made', () => {
  const hostile = [
    "authentication of '",
    "' (myself) ",
    'traffic selectors ',
    "peer '",
    "mediation between '",
    "selected peer config '",
  ].flatMap((beginning) =>
    [' ', "' (myself) with ", ' unacceptable', "' failed ", 'unable to resolve '].map(
      (part) => beginning + part.repeat(65_535 / part.length),
    ),
  );
  const startedMs = performance.now();
  for (const msg of hostile) for (const group of ['IKE', 'CFG', 'JOB']) evidenceOf(line(group, msg, 'cygnet-a'));
  // A millisecond for each would be much; a pattern that backtracks takes minutes.
  expect(performance.now() - startedMs).toBeLessThan(1000);
});

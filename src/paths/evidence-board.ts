import type { Connection } from '../ike/connection.ts';
import type { EvidenceCode } from './evidence-rules.ts';
import { evidenceOf, type CharonLogLine, type Evidence } from './evidence.ts';

/** What is known about why a connection does not come up. */
export interface DatedEvidence {
  readonly evidence: Evidence;
  /** Since when every piece of evidence for this connection has had this code; the clock is the caller's. */
  readonly sinceMs: number;
  /** When it was seen last. */
  readonly atMs: number;
}

/** A peer that ends an SA this soon after it came up has refused it. */
const AT_ONCE_MS = 2000;
/** charon gives a pair of addresses up after 65 s, and the mediation with the last of them. */
const MEDIATION_MS_MAX = 70_000;

/** What is remembered of one connection. */
interface Case {
  readonly connection: Connection;
  latest: DatedEvidence | undefined;
  /** Of a mediated connection: since when a mediation is under way that this end began. */
  mediationSinceMs: number | undefined;
  /** Of a mediation connection: when checks began last that this end had asked for. */
  ownChecksSinceMs: number | undefined;
  /** Of a mediation connection: whether the ME_CONNECT that is being handled is the answer of a peer. */
  isPeersAnswer: boolean;
  established: { readonly ikeSaId: number | undefined; readonly atMs: number } | undefined;
}

const NEW_CASE: Omit<Case, 'connection'> = {
  latest: undefined,
  mediationSinceMs: undefined,
  ownChecksSinceMs: undefined,
  isPeersAnswer: false,
  established: undefined,
};

/**
 * The latest evidence for each connection, from the lines of one charon's log in their order. Only connections that
 * `keep` named have a place here, so that nothing grows with what others do. Evidence is forgotten when the log shows
 * the connection up: its CHILD SA, or its IKE SA where it is a mediation connection. A connection with several CHILD SAs
 * counts as up with the first of them, and one that answers many nodes has the latest evidence about any of them.
 *
 * `checks-failed` is there as soon as no pair of addresses is left to be tried, some 100 ms after the beginning, until
 * one has answered and its IKE SA begins: it counts once the set-up has had its time.
 *
 * All evidence is from this end: that the peer said no is known here, why is known there. Put both boards side by side.
 */
export class EvidenceBoard {
  #cases = new Map<string, Case>();

  /** The connections of ours that there are now. What is known about others is forgotten. */
  keep(connections: Iterable<Connection>): void {
    const before = this.#cases;
    this.#cases = new Map();
    for (const connection of connections) {
      this.#cases.set(connection.name, { ...(before.get(connection.name) ?? NEW_CASE), connection });
    }
  }

  /** Takes the next line. Returns its evidence if it is one, whether or not it is about a connection of ours. */
  read(line: CharonLogLine, nowMs: number): Evidence | undefined {
    const known = this.#cases.get(line['ikesa-name'] ?? '');
    if (known !== undefined) follow(known, line, nowMs);
    const callback = CALLBACK.exec(line.msg);
    if (callback !== null) this.#peerIsBack(callback[1]);
    const evidence = evidenceOf(line);
    if (evidence === undefined) return undefined;
    for (const one of this.#casesOf(evidence, nowMs)) record(one, evidence, nowMs);
    return evidence;
  }

  /** The evidence for a connection since the last time that it was up. */
  latest(connection: string): DatedEvidence | undefined {
    return this.#cases.get(connection)?.latest;
  }

  #peerIsBack(peer: string | undefined): void {
    for (const one of this.#cases.values()) {
      const isIt = one.connection.kind === 'mediated-peer' && one.connection.mediationPeer === peer;
      if (isIt && one.latest?.evidence.source === 'mediator') one.latest = undefined;
    }
  }

  #casesOf({ code, subject }: Evidence, nowMs: number): readonly Case[] {
    switch (subject.kind) {
      case 'connection': {
        const known = this.#cases.get(subject.connection);
        return known === undefined ? [] : [known];
      }
      case 'mediated-peer':
        return [...this.#cases.values()].filter(
          ({ connection }) =>
            connection.kind === 'mediated-peer' &&
            connection.mediatedBy === subject.mediatedBy &&
            connection.mediationPeer === subject.peer,
        );
      case 'mediation':
        return [...this.#cases.values()].filter((one) => this.#mayBeMeant(one, code, subject.mediatedBy, nowMs));
      case 'none':
        return [];
    }
  }

  /** Several mediations may be under way, and charon does not say which one it means: then each of them has it. */
  #mayBeMeant(one: Case, code: EvidenceCode, mediatedBy: string | undefined, nowMs: number): boolean {
    const { connection, mediationSinceMs } = one;
    if (connection.kind !== 'mediated-peer' || mediationSinceMs === undefined) return false;
    if (nowMs - mediationSinceMs >= MEDIATION_MS_MAX) return false;
    if (mediatedBy !== undefined && mediatedBy !== connection.mediatedBy) return false;
    if (code !== 'checks-failed') return true;
    const ownChecksSinceMs = this.#cases.get(connection.mediatedBy)?.ownChecksSinceMs;
    return ownChecksSinceMs !== undefined && ownChecksSinceMs >= mediationSinceMs;
  }
}

/** ikev2/tasks: ike_me.c, ike_establish.c, child_create.c, below `src/libcharon/sa`. */
const CALLBACK = /^received ME_CALLBACK for '([^\n]{1,1024})'$/;
const IKE_SA_UP = /^IKE_SA \S{1,255}\[\d{1,10}\] established between /;
const CHILD_SA_UP = /^(?:inbound |outbound )?CHILD_SA \S{1,255}\{\d{1,10}\} established with SPIs /;

/** What is no evidence by itself, but tells what another line means. */
function follow(known: Case, line: CharonLogLine, nowMs: number): void {
  const { msg } = line;
  if (msg.startsWith('parsed ME_CONNECT ')) known.isPeersAnswer = msg.includes(' N(ME_R) ');
  if (msg.startsWith('pairs on checklist ') && known.isPeersAnswer) known.ownChecksSinceMs = nowMs;
  if (msg === 'initiating mediation connection') known.mediationSinceMs = laterOf(known.mediationSinceMs, nowMs);
  if (msg.startsWith('initiating IKE_SA ')) mediated(known);
  const isIkeSaUp = IKE_SA_UP.test(msg);
  if (isIkeSaUp) known.established = { ikeSaId: line['ikesa-uniqueid'], atMs: nowMs };
  const { kind } = known.connection;
  const hasChildren = kind !== 'mediation-client' && kind !== 'mediation-server';
  if (hasChildren ? CHILD_SA_UP.test(msg) : isIkeSaUp) {
    known.latest = undefined;
    known.mediationSinceMs = undefined;
  }
}

/** When a mediation began: what is asked for meanwhile is queued behind it. */
function laterOf(sinceMs: number | undefined, nowMs: number): number {
  return sinceMs !== undefined && nowMs - sinceMs < MEDIATION_MS_MAX ? sinceMs : nowMs;
}

/** An IKE SA begins, so that there was a pair of addresses. */
function mediated(known: Case): void {
  known.mediationSinceMs = undefined;
  const code = known.latest?.evidence.code;
  if (code === 'checks-failed' || code === 'stuck-in-charon') known.latest = undefined;
}

/**
 * Of several lines about one failure the first is the cause, and the others follow from it: of the same code and IKE SA
 * the first quote stays, and a hint changes nothing that is known about the same IKE SA or lately about the connection.
 */
function record(known: Case, evidence: Evidence, nowMs: number): void {
  const { latest } = known;
  const isSameSa = latest !== undefined && latest.evidence.ikeSaId === evidence.ikeSaId;
  const isSameCode = latest !== undefined && latest.evidence.code === evidence.code;
  const isExplained = latest !== undefined && !isSameCode && (isSameSa || nowMs - latest.atMs < MEDIATION_MS_MAX);
  if (evidence.isHint && (isExplained || !isMeant(known, evidence, nowMs))) return;
  known.latest = {
    evidence: isSameSa && isSameCode ? latest.evidence : evidence,
    sinceMs: isSameCode ? latest.sinceMs : nowMs,
    atMs: nowMs,
  };
}

/** Whether a hint is more than what happens every day. */
function isMeant({ established }: Case, { code, ikeSaId }: Evidence, nowMs: number): boolean {
  if (code !== 'peer-refused') return true;
  return established !== undefined && established.ikeSaId === ikeSaId && nowMs - established.atMs <= AT_ONCE_MS;
}

import { EVIDENCE_RULES, type EvidenceCode, type EvidenceRule, type EvidenceSource } from './evidence-rules.ts';

/** A line of charon's log, as far as it is looked at. The body of the event `log` is one (`ViciLogLine`). */
export interface CharonLogLine {
  /** Subsystem: `IKE`, `CFG`, … */
  readonly group: string;
  /** Connection of the IKE SA that the line is about. `(unnamed)` while a responder has not chosen one. */
  readonly 'ikesa-name'?: string | undefined;
  readonly 'ikesa-uniqueid'?: number | undefined;
  readonly msg: string;
}

/**
 * What a piece of evidence is about. charon speaks of a mediation in lines of the mediation connection's IKE SA, so
 * that a line names the mediated connection seldom, its peer sometimes, and often neither.
 */
export type EvidenceSubject =
  | { readonly kind: 'connection'; readonly connection: string }
  /** The mediated connection with this peer, by the peer's identity at the mediator. */
  | { readonly kind: 'mediated-peer'; readonly mediatedBy: string; readonly peer: string }
  /** One of the mediations under way; at this mediation connection if the line has one. */
  | { readonly kind: 'mediation'; readonly mediatedBy: string | undefined }
  /** A connection that was never chosen, or one of others, on their mediator. The quote says more. */
  | { readonly kind: 'none' };

/** A failure with its name. */
export interface Evidence {
  readonly code: EvidenceCode;
  readonly source: EvidenceSource;
  readonly subject: EvidenceSubject;
  /** Of the line. Unique ids begin anew with charon. */
  readonly ikeSaId: number | undefined;
  /** True when the line proves it only together with others, that were or were not there: see `EvidenceBoard`. */
  readonly isHint: boolean;
  /** For the operator: what it means and what to do. */
  readonly advice: string;
  /** charon's words, {@link QUOTE_CHARACTERS_MAX} printable ASCII characters at most: a remote peer may have chosen them. */
  readonly quote: string;
}

export const QUOTE_CHARACTERS_MAX = 200;

/** Name of an IKE SA of which charon, as responder, does not know yet which connection it is of. */
const UNNAMED = '(unnamed)';

/** Longer lines are not looked at further than this: all that tells them apart is at the beginning. */
const LINE_CHARACTERS_MAX = 4096;

/**
 * What a line says about a set-up that fails, or undefined. Holds for the texts of strongSwan 5.9.8 to 6.0.6, which are
 * the same up to the word for a DH group. Every pattern begins where the line begins, because identities and other
 * texts of remote peers stand quoted in the middle: a peer that calls itself "peer not responding" proves nothing.
 *
 * Who claims the identity of a peer, which needs no key, can make a responder say that its authentication failed. So
 * evidence explains why a connection is not up; it must not decide anything about one that is.
 */
export function evidenceOf(line: CharonLogLine): Evidence | undefined {
  const text = line.msg.slice(0, LINE_CHARACTERS_MAX);
  for (const rule of EVIDENCE_RULES) {
    const match = rule.group === line.group ? rule.pattern.exec(text) : null;
    if (match !== null) return evidence(rule, match, line);
  }
  return undefined;
}

/** A text from charon as it may be shown: one line of printable ASCII, cut to {@link QUOTE_CHARACTERS_MAX}. */
export function quoteOf(text: string): string {
  const printable = text.slice(0, QUOTE_CHARACTERS_MAX + 1).replaceAll(/[^\x20-\x7e]/g, '?');
  return printable.length > QUOTE_CHARACTERS_MAX ? `${printable.slice(0, QUOTE_CHARACTERS_MAX - 3)}...` : printable;
}

function evidence(rule: EvidenceRule, match: RegExpExecArray, line: CharonLogLine): Evidence | undefined {
  const subject = subjectOf(rule, match, line);
  return (
    subject && {
      code: rule.code,
      source: rule.source,
      subject,
      ikeSaId: line['ikesa-uniqueid'],
      isHint: rule.isHint ?? false,
      advice: rule.advice,
      quote: quoteOf(line.msg),
    }
  );
}

function subjectOf(rule: EvidenceRule, match: RegExpExecArray, line: CharonLogLine): EvidenceSubject | undefined {
  const name = line['ikesa-name'] === UNNAMED ? undefined : line['ikesa-name'];
  switch (rule.about) {
    case 'connection':
      return name === undefined ? { kind: 'none' } : { kind: 'connection', connection: name };
    case 'mediated-peer':
      return name === undefined ? undefined : { kind: 'mediated-peer', mediatedBy: name, peer: match[1] ?? '' };
    case 'mediation':
      return { kind: 'mediation', mediatedBy: name };
    case 'named-mediation':
      return name === undefined ? undefined : { kind: 'mediation', mediatedBy: name };
    case 'others':
      return { kind: 'none' };
  }
}

import type { CoordinatorFrame } from '../control/frames.ts';
import { SigningError } from '../control/signing-error.ts';
import { openStatement, stateStatementSchema, type Signed, type StateStatement } from '../control/statement.ts';
import { messageOf } from '../errors.ts';
import { desiredStateSchema, type DesiredState } from '../ike/desired-state.ts';
import { massRemovalOf } from '../ike/mass-removal.ts';
import { patchState } from '../ike/state-delta.ts';
import { canonicalJson, digestOfText } from '../json.ts';
import { outOfOrder, trustAfter, type StateTrust } from './state-trust.ts';

/** Which desired state a node takes from its coordinator, and why not another one. Pure. */

/** How far clocks may be apart before a statement's end is one. */
const CLOCK_SKEW_MS = 3_600_000;

/** Characters of what a schema has to say about a state. */
const COMPLAINT_MAX = 300;

/** A desired state with its proof. */
export interface HeldState {
  readonly statement: StateStatement;
  readonly signed: Signed;
  /** As it was signed. */
  readonly text: string;
  readonly state: DesiredState;
}

/** The frames that bring a desired state, or say that the node has it. */
export type StateFrame = Extract<CoordinatorFrame, { type: 'snapshot' | 'delta' | 'unchanged' }>;

export type Acceptance =
  /** Another state. Counts when `held` and then `trust` are on disk. */
  | { readonly kind: 'taken'; readonly held: HeldState; readonly trust: StateTrust }
  /** The state that is held, under a statement that may be new. */
  | { readonly kind: 'confirmed'; readonly held: HeldState; readonly trust: StateTrust }
  /** Nothing may change. `isOver`: by this node's clock, which may be wrong, and by nothing else. */
  | { readonly kind: 'refused'; readonly message: string; readonly isOver?: true }
  /** The statement is good, but what came with it does not give its state: the whole is needed. */
  | { readonly kind: 'resend'; readonly message: string };

/** What to do with a frame, given what is believed and held. `nowMs`: ms since the epoch. */
export function acceptState(
  frame: StateFrame,
  { trust, held }: { readonly trust: StateTrust; readonly held: HeldState | undefined },
  nowMs: number,
): Acceptance {
  try {
    const statement = openFor(frame.signed, trust, trust.keys);
    const objection = trust.latest === null ? undefined : outOfOrder(statement, trust.latest);
    if (objection !== undefined) throw new StateRefused(objection);
    const proven = trustAfter(trust, { key: frame.signed.key, heldKey: held?.signed.key }, statement);
    if (held?.statement.digest === statement.digest) {
      return { kind: 'confirmed', held: { ...held, statement, signed: frame.signed }, trust: proven };
    }
    if (statement.notAfterMs !== null && nowMs > statement.notAfterMs + CLOCK_SKEW_MS) {
      const message = `it was to be taken by ${new Date(statement.notAfterMs).toISOString()}, and by this node's clock that is over: check the clock, or have it signed again`;
      return { kind: 'refused', message, isOver: true };
    }
    const text = textOf(frame, statement, held);
    if (typeof text !== 'string') return text;
    const state = stateIn(text, statement);
    checkRemovals(statement, held?.state, state);
    return { kind: 'taken', held: { statement, signed: frame.signed, text, state }, trust: proven };
  } catch (error) {
    if (error instanceof StateRefused || error instanceof SigningError)
      return { kind: 'refused', message: error.message };
    throw error;
  }
}

/**
 * What is read from the node's own disk, with the same proof; it stays good for ever.
 * @throws SigningError, StateRefused
 */
export function heldStateOf(stored: { readonly signed: Signed; readonly state: string }, trust: StateTrust): HeldState {
  const keys = trust.retired === null ? trust.keys : [...trust.keys, trust.retired];
  const statement = openFor(stored.signed, trust, keys);
  return { statement, signed: stored.signed, text: stored.state, state: stateIn(stored.state, statement) };
}

/** What a frame claims to bring, for the answer to one that is refused: nothing of it is believed. */
export function claimOf({ text }: Signed): { readonly epoch: string | null; readonly generation: number } {
  const claim = stateStatementSchema.safeParse(parseJson(text));
  return claim.success ? claim.data : { epoch: null, generation: 0 };
}

/** A state that must not be used. */
class StateRefused extends Error {
  override readonly name = 'StateRefused';
}

function openFor(signed: Signed, { mesh, node }: StateTrust, keys: StateTrust['keys']): StateStatement {
  const statement = openStatement(signed, keys, stateStatementSchema);
  if (statement.mesh !== mesh) throw new StateRefused(`it is for mesh ${statement.mesh}, and this node is in ${mesh}`);
  if (statement.node !== node) throw new StateRefused(`it is for node ${statement.node}, and this is ${node}`);
  return statement;
}

/** The whole state that a frame stands for. */
function textOf(
  frame: StateFrame,
  { digest }: StateStatement,
  held: HeldState | undefined,
): string | Extract<Acceptance, { kind: 'resend' }> {
  if (frame.type === 'snapshot') return frame.state;
  const resend = (message: string) => ({ kind: 'resend', message }) as const;
  if (frame.type === 'unchanged') return resend('this is not the state that this node holds');
  if (held?.statement.digest !== frame.base) return resend('the delta is for a state that this node does not hold');
  try {
    const text = canonicalJson(patchState(parseJson(held.text), frame.delta));
    return digestOfText(text) === digest ? text : resend('the delta does not lead to the state that is signed');
  } catch (error) {
    return resend(`the delta cannot be applied: ${messageOf(error)}`);
  }
}

function stateIn(text: string, { digest, mesh, node }: StateStatement): DesiredState {
  if (digestOfText(text) !== digest) throw new StateRefused('its digest does not fit: it was altered on the way');
  const parsed = desiredStateSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const complaint = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`.slice(0, COMPLAINT_MAX);
    throw new StateRefused(`this agent does not understand it: ${complaint}`);
  }
  const state = parsed.data;
  if (state.mesh !== mesh || state.node !== node)
    throw new StateRefused('it names another mesh or node than its signature');
  return state;
}

/** A node that was enrolled as another one has the right to lose everything of its former self. */
function checkRemovals(statement: StateStatement, before: DesiredState | undefined, after: DesiredState): void {
  if (statement.allowMassRemoval || before?.mesh !== after.mesh || before.node !== after.node) return;
  const loss = massRemovalOf(before, after);
  if (loss === undefined) return;
  throw new StateRefused(
    `it would take ${loss} from this node; where that is meant: meshctl apply --allow-mass-removal`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import type { ViciInput, ViciSection } from '../message.ts';
import type { FakeAnswer, FakeClient, FakeHandler } from './fake-client.ts';
import type { Loaded } from './loaded.ts';
import { childOf, childListing, findConn } from './loaded-conns.ts';
import { refusal, SUCCESS } from './replies.ts';
import { textOf, textsOf } from './section-text.ts';

/**
 * What was made of a child's configuration when it was installed; what is loaded later does not change it. A trap policy, or a
 * shunt, for which there is no tunnel.
 */
interface Trap {
  readonly ike: string;
  readonly child: string;
  readonly config: ViciSection;
  /** What `list-policies` has to mention for it to be listed. */
  readonly kind: Kind;
}

type Kind = 'trap' | 'pass' | 'drop';

/** In charon's order: the youngest first. */
type Traps = Trap[];

/** The commands about trap policies and shunts. `listsReqids`: as charon does since 6.0.2. */
export function trapHandlers(conns: Loaded, listsReqids: boolean): readonly (readonly [string, FakeHandler])[] {
  const traps: Traps = [];
  return [
    ['install', (request) => install(traps, conns, request)],
    ['uninstall', (request) => uninstall(traps, request)],
    ['list-policies', (request, client) => listTraps(traps, request, (trap) => raise(trap, listsReqids, client))],
  ];
}

/** A trap that is there already is replaced, and is the youngest then; a shunt is left as it is. */
function install(traps: Traps, conns: Loaded, request: ViciSection): FakeAnswer {
  const child = textOf(request, 'child');
  if (child === undefined) return refusal('missing configuration name');
  const [ike, conn] = findConn(conns, textOf(request, 'ike'), child) ?? [];
  const config = childOf(conn, child);
  if (ike === undefined || config === undefined) return refusal('configuration name not found');
  const mode = textOf(config, 'mode') ?? 'tunnel';
  if (mode === 'pass' || mode === 'drop') {
    const isThere = traps.some((trap) => trap.ike === ike && trap.child === child && trap.kind !== 'trap');
    if (!isThere) traps.push({ ike, child, config, kind: mode });
    return SUCCESS;
  }
  // A host name will do, also one that has no address.
  const [host = '%any'] = textsOf(conn, 'remote_addrs');
  if (host === '%any' && mode !== 'transport') return refusal(`installing policy '${child}' failed`);
  remove(traps, ike, child);
  traps.unshift({ ike, child, config, kind: 'trap' });
  return SUCCESS;
}

function uninstall(traps: Traps, request: ViciSection): FakeAnswer {
  const child = textOf(request, 'child');
  if (child === undefined) return refusal('missing configuration name');
  return remove(traps, textOf(request, 'ike'), child) ? SUCCESS : refusal(`policy '${child}' not found`);
}

/** False when there is none. */
function remove(traps: Traps, ike: string | undefined, child: string): boolean {
  const at = traps.findIndex((trap) => trap.child === child && (ike === undefined || trap.ike === ike));
  if (at >= 0) traps.splice(at, 1);
  return at >= 0;
}

/** charon looks whether a kind is mentioned, not at what it says. Shunts come last, the oldest first. */
function listTraps(traps: Traps, request: ViciSection, tell: (trap: Trap) => void): FakeAnswer {
  const [ike, child] = [textOf(request, 'ike'), textOf(request, 'child')];
  const kinds = (['trap', 'pass', 'drop'] as const).filter((kind) => textOf(request, kind) !== undefined);
  for (const trap of traps.filter(({ kind }) => kinds.includes(kind))) {
    if ((ike === undefined || ike === trap.ike) && (child === undefined || child === trap.child)) tell(trap);
  }
  return {};
}

function raise({ ike, child, config }: Trap, listsReqids: boolean, client: FakeClient): void {
  const { mode, 'local-ts': localTs, 'remote-ts': remoteTs } = childListing(config);
  const reqid: ViciInput = listsReqids ? { reqid: textOf(config, 'reqid') ?? 1 } : {};
  const body = { child, ...reqid, ike, mode, 'local-ts': localTs, 'remote-ts': remoteTs };
  client.event('list-policy', { [`${ike}/${child}`]: body });
}

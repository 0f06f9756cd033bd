import type { ViciAddress } from '../dial.ts';
import { decodeMessage, encodeMessage, type ViciInput, type ViciSection } from '../message.ts';
import type { ViciCallCommand, ViciReply } from '../protocol/commands.ts';
import { VICI_EVENTS } from '../protocol/events.ts';
import { daemonHandlers } from './daemon-handlers.ts';
import { FakeClient, NO_ANSWER, type Arrival, type FakeDaemon, type FakeHandler } from './fake-client.ts';
import { FakeSas, type EmitEvent } from './fake-sas.ts';
import { HeldCommand } from './held-command.ts';
import { trapHandlers } from './installed-traps.ts';
import { Listener, type FakeTransport } from './listener.ts';
import type { Loaded } from './loaded.ts';
import { connHandlers, loadConns } from './loaded-conns.ts';
import { authorityHandlers, credentialHandlers } from './loaded-credentials.ts';
import { poolHandlers } from './loaded-pools.ts';
import { refusal, SUCCESS } from './replies.ts';
import { saHandlers } from './sa-handlers.ts';
import type { ChildSaFields, FakeChildSa, FakeIkeSa, IkeSaAddresses, IkeSaFields } from './sa-sections.ts';

/** What kind of charon to start. */
export interface FakeCharonOptions {
  /** `unix` by default. */
  readonly transport?: FakeTransport | undefined;
  /**
   * What `version` answers, 6.0.6 by default. Before 6.0.3 there is no event `alert`, before 6.0.2 `list-policies` tells
   * no reqid.
   */
  readonly version?: string | undefined;
  /**
   * Connections that may wait to be accepted; charon's 3 by default on a Unix socket, where one more meets EAGAIN. On
   * TCP, where one more would cost a second, 128.
   */
  readonly backlog?: number | undefined;
  /** The most bytes that reach the client at once; no limit by default. */
  readonly chunkBytes?: number | undefined;
}

/** Sees what arrives, and may end the connection. */
export type ArrivalHook = (arrival: Arrival, client: FakeClient) => void;

/** Commands whose names are remembered at least. */
const COMMANDS_KEPT = 10_000;
const DAY_MS = 86_400_000;
/** How much later each life starts than the one before, so that a restart shows in `stats` however quick it was. */
const LIFE_MS = 60_000;

/**
 * A charon for tests, in this process. The socket, the framing and the order of answers are real; behind them is a small
 * daemon that remembers what was loaded, and whose SAs are what the test says. Every command can be answered otherwise.
 */
export class FakeCharon implements AsyncDisposable {
  /** The connections that are open now. */
  readonly clients = new Set<FakeClient>();
  /** Names of the commands in the order of their execution, through restarts; the last 10,000 at least. */
  readonly commands: string[] = [];
  /** The events that clients may register for. */
  readonly knownEvents: Set<string>;
  /** How many connections have been open at once. */
  clientsMax = 0;
  /** Bytes that clients have sent. */
  bytesReceived = 0;
  readonly #options: FakeCharonOptions;
  readonly #listener: Listener;
  readonly #scripted = new Map<string, FakeHandler>();
  readonly #unknown = new Set<string>();
  #builtIn: ReadonlyMap<string, FakeHandler> = new Map();
  #sas = new FakeSas(() => {});
  #conns: Loaded = new Map();
  #lives = 0;
  #onArrival: ArrivalHook = () => {};

  private constructor(options: FakeCharonOptions, listener: Listener) {
    this.#options = options;
    this.#listener = listener;
    const hasAlert = !/^(?:5\.|6\.0\.[0-2]\b)/.test(this.#version);
    this.knownEvents = new Set(VICI_EVENTS.filter((event) => event !== 'alert' || hasAlert));
    this.#beginLife();
  }

  /** Resolves when it listens. */
  static async start(options: FakeCharonOptions = {}): Promise<FakeCharon> {
    const charon = new FakeCharon(options, await Listener.choose(options.transport ?? 'unix'));
    await charon.#listen();
    return charon;
  }

  /** Where it listens, also while it is dead. */
  get address(): ViciAddress {
    return this.#listener.address;
  }

  /** The path of its Unix socket. Throws on TCP. */
  get socketPath(): string {
    if ('socketPath' in this.address) return this.address.socketPath;
    throw new Error('this fake charon listens on TCP');
  }

  /** Answers a command from now on, in this life and the next ones. Any name will do, also of another plugin. */
  on(command: string, handler: FakeHandler): void {
    this.#unknown.delete(command);
    this.#scripted.set(command, handler);
  }

  /** Answers with the same reply every time; undefined, where the reply says nothing, is success. */
  reply<C extends ViciCallCommand>(command: C, reply: ViciReply<C>): void {
    this.on(command, () => (reply === undefined ? SUCCESS : (reply as ViciInput)));
  }

  /** Refuses with `success = no` and this reason. */
  refuse(command: string, errmsg: string): void {
    this.on(command, () => refusal(errmsg));
  }

  /**
   * Carries out what is behind the command on the same connection, but never answers it, as charon does when its reply
   * would be longer than 512 KiB. One that is still busy is a command that was {@link hold | held}.
   */
  leaveUnanswered(command: string): void {
    this.on(command, () => NO_ANSWER);
  }

  /** Lets requests of the command wait, and what is behind them on their connection, until they are released. */
  hold(command: string): HeldCommand {
    const handler = this.#handlerOf(command);
    if (handler === undefined) throw new Error(`the fake charon has no answer to ${command} that it could hold back`);
    const held = new HeldCommand(handler);
    this.on(command, held.handle);
    return held;
  }

  /** Answers CMD_UNKNOWN, as while charon starts, or where a plugin is not loaded. */
  forget(command: string): void {
    this.#unknown.add(command);
  }

  /** Answers as it did at the beginning. */
  reset(command: string): void {
    this.#unknown.delete(command);
    this.#scripted.delete(command);
  }

  /**
   * Calls back with everything that arrives, before anything is done with it; the last hook counts. A client that is
   * hung up on there gets no answer: so charon can die at any point of a conversation.
   */
  onArrival(hook: ArrivalHook): void {
    this.#onArrival = hook;
  }

  /** Sends an event to every client that has registered for it. */
  emit(event: string, body: ViciInput): void {
    for (const client of this.clients) client.event(event, body);
  }

  /** What is loaded, by name, as it was sent. */
  get conns(): ReadonlyMap<string, ViciSection> {
    return this.#conns;
  }

  /** Loads connections as another client would have done before. */
  load(conns: ViciInput): void {
    loadConns(this.#conns, decodeMessage(encodeMessage(conns)));
  }

  /** The IKE SAs that are up. */
  get sas(): ReadonlySet<FakeIkeSa> {
    return this.#sas.all;
  }

  /** Establishes an IKE SA, with `ike-updown`. */
  ikeUp({ name, ...fields }: IkeSaFields & { readonly name: string }): FakeIkeSa {
    return this.#sas.ikeUp(name, fields);
  }

  /** Ends it, with `ike-updown` and a `child-updown` for each of its CHILD SAs. */
  ikeDown(ike: FakeIkeSa): void {
    this.#sas.ikeDown(ike);
  }

  /** Replaces it by one with a new unique id, which takes over the CHILD SAs, with `ike-rekey`. */
  ikeRekey(ike: FakeIkeSa): FakeIkeSa {
    return this.#sas.ikeRekey(ike);
  }

  /** Moves it to other addresses, with `ike-update`. */
  ikeUpdate(ike: FakeIkeSa, addresses: IkeSaAddresses): void {
    this.#sas.ikeUpdate(ike, addresses);
  }

  /** Installs a CHILD SA, with `child-updown`. */
  childUp(ike: FakeIkeSa, { name, ...fields }: ChildSaFields & { readonly name: string }): FakeChildSa {
    return this.#sas.childUp(ike, name, fields);
  }

  /** Ends it, with `child-updown`. */
  childDown(child: FakeChildSa): void {
    this.#sas.childDown(child);
  }

  /** Replaces it by one with a new unique id, with `child-rekey`; `list-sas` still has the old one, as DELETED. */
  childRekey(child: FakeChildSa): FakeChildSa {
    return this.#sas.childRekey(child);
  }

  /** Ends every connection, as a kill does, and goes on listening. */
  hangUp(): void {
    for (const client of this.clients) client.hangUp();
  }

  /** The process is gone: connections end, and nobody listens. Resolves when that is so. */
  async die(): Promise<void> {
    const closed = this.#listener.close();
    this.hangUp();
    await closed;
  }

  /**
   * A new process at the same place: nothing loaded, no traps, no SAs, unique ids from 1, a later start in `stats`. How
   * commands are answered stays as the test has set it.
   */
  async restart(): Promise<void> {
    await this.die();
    this.#beginLife();
    await this.#listen();
  }

  /** Ends it for good; its folder is removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.die();
    await this.#listener.remove();
  }

  async #listen(): Promise<void> {
    const { transport = 'unix', backlog = transport === 'unix' ? 3 : 128, chunkBytes = Infinity } = this.#options;
    const daemon: FakeDaemon = {
      arrived: (arrival, client) => this.#onArrival(arrival, client),
      received: (bytes) => (this.bytesReceived += bytes),
      begin: (command) => this.#begin(command),
      knowsEvent: (event) => this.knownEvents.has(event),
    };
    await this.#listener.open(backlog, (socket) => {
      const client = new FakeClient(socket, daemon, chunkBytes);
      this.clients.add(client);
      this.clientsMax = Math.max(this.clientsMax, this.clients.size);
      socket.once('close', () => this.clients.delete(client));
      this.#onArrival({ type: 'connection' }, client);
    });
  }

  #begin(command: string): FakeHandler | undefined {
    if (this.commands.length >= 2 * COMMANDS_KEPT) this.commands.splice(0, COMMANDS_KEPT);
    this.commands.push(command);
    return this.#handlerOf(command);
  }

  get #version(): string {
    return this.#options.version ?? '6.0.6';
  }

  #handlerOf(command: string): FakeHandler | undefined {
    if (this.#unknown.has(command)) return undefined;
    return this.#scripted.get(command) ?? this.#builtIn.get(command);
  }

  #beginLife(): void {
    const startedMs = Date.now() - 365 * DAY_MS + this.#lives * LIFE_MS;
    this.#lives += 1;
    this.#conns = new Map();
    const emit: EmitEvent = (event, body) => this.emit(event, body);
    this.#sas = new FakeSas(emit);
    this.#builtIn = new Map([
      ...daemonHandlers({ version: this.#version, startedMs }, this.#sas),
      ...connHandlers(this.#conns, emit),
      ...trapHandlers(this.#conns, !/^(?:5\.|6\.0\.[01]\b)/.test(this.#version)),
      ...credentialHandlers(),
      ...authorityHandlers(),
      ...poolHandlers(),
      ...saHandlers(this.#sas, this.#conns),
    ]);
  }
}

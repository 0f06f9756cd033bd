import { Agent, request, type RequestOptions } from 'node:https';
import { once } from 'node:events';
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { text as textOf } from 'node:stream/consumers';
import { openApiListener, type ApiListener } from '../../src/coordinator/api-listener.ts';
import type { TlsIdentity } from '../../src/coordinator/tls-options.ts';
import type { Role } from '../../src/coordinator/role.ts';
import { issueServerCertificate } from '../../src/identity/certificates.ts';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { createLogger } from '../../src/log.ts';
import { publicKeyOf } from '../identity/mesh.ts';
import type { CoreFixture } from './core-fixture.ts';

export const API_NAMES = ['127.0.0.1', 'api.example'];

export interface ApiAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** The operator's API on a TLS port of its own, and a client for it. Its clock is `clockMs`, as far as waits go. */
export class RemoteApiFixture implements AsyncDisposable {
  readonly #mesh: CoreFixture;
  readonly #ca: MeshCa;
  readonly #listener: ApiListener;
  readonly #agent: Agent;

  private constructor(mesh: CoreFixture, ca: MeshCa, listener: ApiListener) {
    this.#mesh = mesh;
    this.#ca = ca;
    this.#listener = listener;
    // Node would take the name in a test's Host header for the server's.
    this.#agent = new Agent({ ca: ca.certificatePem, keepAlive: true, servername: 'api.example' });
  }

  static async open(mesh: CoreFixture, ca: MeshCa, monotonicMs: () => number): Promise<RemoteApiFixture> {
    const listener = await openApiListener({
      host: '127.0.0.1',
      port: 0,
      identity: await newIdentity(ca),
      names: API_NAMES,
      coordinator: mesh.core,
      clock: { nowMs: () => mesh.nowMs, monotonicMs },
      logger: createLogger('test', 'silent'),
    });
    return new RemoteApiFixture(mesh, ca, listener);
  }

  get port(): number {
    return this.#listener.port;
  }

  /** The server's certificate is renewed. */
  async renewCertificate(): Promise<void> {
    this.#listener.useIdentity(await newIdentity(this.#ca));
  }

  /** A new token's text. */
  token(name: string, role: Role, ttlSeconds = 3600): string {
    const attempt = this.#mesh.core.audit.begin('api-token.create', {
      actor: { kind: 'socket', name: null },
      remote: null,
    });
    return this.#mesh.core.apiTokens.create({ name, role, ttlSeconds }, attempt).token;
  }

  revoke(name: string): void {
    const attempt = this.#mesh.core.audit.begin('api-token.revoke', {
      actor: { kind: 'socket', name: null },
      remote: null,
    });
    this.#mesh.core.apiTokens.revoke(name, attempt);
  }

  /** The response once its headers are here. */
  async begin(method: string, path: string, options: RequestOptions = {}, body?: string): Promise<IncomingMessage> {
    const where = { host: '127.0.0.1', port: this.port, ca: this.#ca.certificatePem, agent: this.#agent };
    const outgoing = request({ ...where, servername: 'api.example', method, path, ...options });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return response;
  }

  /** A request whose headers the server has taken, and whose body is still to come. */
  async withoutBody(method: string, path: string, headers: Record<string, string>): Promise<ClientRequest> {
    const where = { host: '127.0.0.1', port: this.port, ca: this.#ca.certificatePem, agent: this.#agent };
    const outgoing = request({
      ...where,
      servername: 'api.example',
      method,
      path,
      headers: { ...headers, expect: '100-continue' },
    });
    outgoing.flushHeaders();
    await once(outgoing, 'continue');
    return outgoing;
  }

  async call(method: string, path: string, headers: Record<string, string> = {}, body?: string): Promise<ApiAnswer> {
    const response = await this.begin(method, path, { headers }, body);
    return { status: response.statusCode ?? 0, headers: response.headers, text: await textOf(response) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    await this.#listener[Symbol.asyncDispose]();
  }
}

export const bearer = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });

async function newIdentity(ca: MeshCa): Promise<TlsIdentity> {
  const key = await generatePrivateKey('ecdsa-p256');
  const issuance = { hosts: API_NAMES, publicKey: publicKeyOf(key), nowMs: Date.now() };
  const certificateChain = (await issueServerCertificate(ca, issuance)) + ca.certificatePem;
  return { key, certificateChain, ca: ca.certificatePem };
}

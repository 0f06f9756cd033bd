import { createToken, hashTokenSecret, parseToken } from '../identity/token.ts';
import { IdentityError } from '../identity/identity-error.ts';
import type { ApiTokenReply, ApiTokenRequest, ApiTokenView } from './api.ts';
import { ApiRefused } from './api-refused.ts';
import type { ApiTokenRecord, ApiTokenStore } from './api-token-store.ts';
import type { Attempt } from './audit-log.ts';
import type { PacedLog } from './paced-log.ts';

/** A token's last use is written at most this often. */
const USE_INTERVAL_MS = 60_000;
/** Those that can still be used. */
const TOKENS_MAX = 1000;

export type ApiTokenCheck =
  | { readonly ok: true; readonly token: ApiTokenRecord }
  /** `name`: of a token that was good once. */
  | { readonly ok: false; readonly reason: string; readonly name: string | null };

export interface ApiTokensDeps {
  readonly store: ApiTokenStore;
  /** Of the mesh's CA. */
  readonly caPin: string;
  readonly nowMs: () => number;
  readonly warnings: PacedLog;
}

/** Who may use the operator's API from another machine. Times are of the wall clock, as with certificates. */
export class ApiTokens {
  readonly #store: ApiTokenStore;
  readonly #caPin: string;
  readonly #nowMs: () => number;
  readonly #warnings: PacedLog;

  constructor({ store, caPin, nowMs, warnings }: ApiTokensDeps) {
    this.#store = store;
    this.#caPin = caPin;
    this.#nowMs = nowMs;
    this.#warnings = warnings;
  }

  /** Throws an ApiRefused when the name is in use. */
  create({ name, role, ttlSeconds }: ApiTokenRequest, attempt: Attempt): ApiTokenReply {
    attempt.about(name, { role, ttlSeconds });
    const nowMs = this.#nowMs();
    const usable = this.#store.all().filter((token) => this.#problemOf(token) === undefined);
    if (usable.some((token) => token.name === name)) {
      throw new ApiRefused('conflict', `there is a token "${name}" already: revoke it first, or take another name`);
    }
    if (usable.length >= TOKENS_MAX) throw new ApiRefused('conflict', `there are ${TOKENS_MAX} tokens already`);
    const text = createToken(this.#caPin, 'api');
    const token: ApiTokenRecord = {
      name,
      hash: hashTokenSecret(parseToken(text, 'api').secret),
      role,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + ttlSeconds * 1000,
      revokedAtMs: null,
      lastUsedAtMs: null,
    };
    attempt.commit(() => this.#store.add(token));
    return { ...this.#view(token), token: text };
  }

  /** By name; those that can no longer be used for as long as they are remembered. */
  list(): ApiTokenView[] {
    return this.#store.all().map((token) => this.#view(token));
  }

  /** Throws an ApiRefused when there is no such token; one that is revoked stays so. */
  revoke(name: string, attempt: Attempt): ApiTokenView {
    attempt.about(name);
    const token = this.#store.named(name);
    if (token === undefined) throw new ApiRefused('not-found', `there is no token "${name}"`);
    if (token.revokedAtMs !== null) {
      attempt.changedNothing();
      return this.#view(token);
    }
    attempt.commit(() => this.#store.revoke(name, this.#nowMs()));
    return this.#view({ ...token, revokedAtMs: this.#nowMs() });
  }

  /**
   * Whose token this is. It is looked up by the hash of 256 random bits, so the time that this takes says only how
   * far another hash agrees with one that nobody can choose.
   */
  check(text: string): ApiTokenCheck {
    const secret = secretOf(text);
    const token = secret === undefined ? undefined : this.#store.withHash(hashTokenSecret(secret));
    if (token === undefined) return { ok: false, reason: 'this API token is not known here', name: null };
    const reason = this.#problemOf(token);
    if (reason !== undefined) return { ok: false, reason, name: token.name };
    this.#noteUse(token);
    return { ok: true, token };
  }

  /** Whether a token that was good still is; for what goes on for long. */
  isStillGood({ hash }: ApiTokenRecord): boolean {
    const token = this.#store.withHash(hash);
    return token !== undefined && this.#problemOf(token) === undefined;
  }

  /** When the disk is full the mesh must still be looked at. */
  #noteUse({ name, lastUsedAtMs }: ApiTokenRecord): void {
    const nowMs = this.#nowMs();
    if (nowMs - (lastUsedAtMs ?? 0) < USE_INTERVAL_MS) return;
    try {
      this.#store.used(name, nowMs);
    } catch (error) {
      this.#warnings.note('api-token', { err: error }, 'last use of an API token could not be written');
    }
  }

  #problemOf({ expiresAtMs, revokedAtMs }: ApiTokenRecord): string | undefined {
    if (revokedAtMs !== null) return 'this API token was revoked';
    return expiresAtMs <= this.#nowMs() ? 'this API token has expired' : undefined;
  }

  #view({ hash: _hash, ...token }: ApiTokenRecord): ApiTokenView {
    const isExpired = token.expiresAtMs <= this.#nowMs();
    return { ...token, state: token.revokedAtMs !== null ? 'revoked' : isExpired ? 'expired' : 'usable' };
  }
}

function secretOf(text: string): string | undefined {
  try {
    return parseToken(text, 'api').secret;
  } catch (error) {
    if (error instanceof IdentityError) return undefined;
    throw error;
  }
}

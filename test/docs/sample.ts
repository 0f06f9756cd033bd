/** Every form of declaration that the library has, for the test of the reader. */
const NAMES = ['a', 'b'] as const;

/** Bytes at most. */
export const BYTES_MAX = 4 * 1024;

/** A table, too large to show. */
export const TABLE = { a: { lane: 'quick' } } as const satisfies Record<string, object>;

/** Never exported. */
interface Hidden {
  readonly inner: string;
}

/** Where to connect to. */
export type Address = { readonly path: string } | { readonly port: number };

/** How to connect. */
export type Options = Address & {
  /** Milliseconds. */
  readonly timeoutMs?: number | undefined;
};

export interface Bare<T> extends Iterable<T> {
  /**
   * The first line,
   * and the second.
   */
  readonly body: {
    readonly restarted: boolean;
  };
  readonly 'local-host'?: string;
  /** As {@link Options}. */
  close(name: (typeof NAMES)[number]): void;
}

/** A client. */
export class Client implements AsyncDisposable {
  /** What it is called. */
  readonly name: string = 'client';
  /** How often it has tried. */
  tries = 0;
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Whether it has ended. */
  get isClosed(): boolean {
    return this.#options.timeoutMs === 0;
  }

  /** Yields. */
  async *stream<T>(
    value: T,
    options: Options = this.#options,
    accept: (value: T) => boolean = () => true,
    timesMax = 1,
  ): AsyncGenerator<T, void, undefined> {
    await Promise.resolve(options);
    if (accept(value) && timesMax > 0) yield value;
  }

  /** @internal */
  static open(hidden: Hidden): Client {
    return new Client({ path: hidden.inner });
  }

  /** Opens. */
  static async connect(options: Options): Promise<Client> {
    return Promise.resolve(new Client(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#finish();
  }

  get #isOpen(): boolean {
    return !this.isClosed;
  }

  /** Nobody's business. */
  #finish(): Promise<void> {
    return this.#isOpen ? Promise.resolve() : Promise.reject(new Error('closed'));
  }
}

/** Reads. */
export function read(hidden: Hidden): string {
  return hidden.inner;
}

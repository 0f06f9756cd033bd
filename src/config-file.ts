import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { messageOf, systemCodeOf } from './errors.ts';
import { formatMistake, parseYaml } from './yaml-document.ts';

/** A program's configuration cannot be used; the message names the file and each line. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

export const absolutePathSchema = z
  .string()
  .regex(/^\/[^\0]*$/, 'must be an absolute path')
  .max(4096);

/** sockaddr_un holds 107 bytes and a zero. */
export const socketPathSchema = socketPathOfAtMost(107);

/** For a socket that this program makes: beside its path at first, under a somewhat longer name (unix-socket.ts). */
export const ownSocketPathSchema = socketPathOfAtMost(99);

function socketPathOfAtMost(bytes: number): z.ZodType<string> {
  return absolutePathSchema.refine(
    (path) => Buffer.byteLength(path) <= bytes,
    `a socket path has at most ${bytes} bytes`,
  );
}

/** Reads and checks a YAML file. One without a value in it (empty, or only comments) is an empty mapping. Throws a ConfigError. */
export function readConfigFile<T>(path: string, schema: z.ZodType<T>): T {
  const result = parseYaml(textOf(path), schema);
  if (result.ok) return result.value;
  throw new ConfigError(result.mistakes.map((mistake) => `${path}: ${formatMistake(mistake)}`).join('\n'));
}

function textOf(path: string): string {
  try {
    const text = readFileSync(path, 'utf8');
    return text.replaceAll(/^\s*#.*$/gm, '').trim() === '' ? '{}' : text;
  } catch (cause) {
    const reason = systemCodeOf(cause) === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new ConfigError(`${path}: ${reason}`, { cause });
  }
}

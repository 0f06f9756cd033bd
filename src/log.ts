import { pino, type DestinationStream, type Logger as PinoLogger } from 'pino';

/**
 * Messages are constant phrases; values are fields. Field names in use: `component`, `node`, `connection`, `child`,
 * `link`, `ikeSaId`, `step`, `code`, `err`, `attempt`, `durationMs`, `generation`, `remote`, `path`, `auditId`, `auditHash`,
 * `service`.
 */
export type Logger = PinoLogger;

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Fields that must never be written, wherever a caller puts them. */
const SECRET_FIELDS = ['token', 'secret', 'privateKey', 'key', 'pem', 'data'];

/** The one factory: JSON lines on stderr, secrets redacted. A component takes `logger.child({ component })`. */
export function createLogger(
  program: string,
  level: LogLevel,
  destination: DestinationStream = pino.destination({ fd: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: { program },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`]), censor: '[secret]' },
    },
    destination,
  );
}

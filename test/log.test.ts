import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLogger, type LogLevel } from '../src/log.ts';

/** The lines that a logger writes. */
function linesOf(level: LogLevel, log: (logger: ReturnType<typeof createLogger>) => void): Record<string, unknown>[] {
  const lines: Record<string, unknown>[] = [];
  log(createLogger('test', level, { write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>) }));
  return lines;
}

describe('a log line', () => {
  it('is JSON with program, time, component and fields', () => {
    const [line] = linesOf('info', (logger) => logger.child({ component: 'charon' }).info({ attempt: 2 }, 'ready'));
    expect(line).toMatchObject({ program: 'test', component: 'charon', attempt: 2, msg: 'ready' });
    expect(line?.['time']).toMatch(/^\d{4}-\d\d-\d\dT/);
  });

  it('never holds a secret, wherever its field is put', () =>
    fc.assert(
      fc.property(
        fc.constantFrom('token', 'secret', 'privateKey', 'key', 'pem', 'data'),
        fc.constantFrom('err', 'request', 'identity'),
        (field, parent) => {
          const secret = 'TOP-SECRET';
          const lines = linesOf('info', (logger) => {
            logger.info({ [field]: secret }, 'at the top');
            logger.info({ [parent]: { [field]: secret, other: 'kept' } }, 'one down');
          });
          expect(lines).toHaveLength(2);
          expect(JSON.stringify(lines)).not.toContain(secret);
          expect(JSON.stringify(lines[1])).toContain('kept');
        },
      ),
    ));

  it.each<[LogLevel, number]>([
    ['debug', 3],
    ['warn', 1],
    ['silent', 0],
  ])('is written from level %s on', (level, count) =>
    expect(
      linesOf(level, (logger) => {
        logger.debug('a');
        logger.info('b');
        logger.warn('c');
      }),
    ).toHaveLength(count),
  );
});

import { parseArgs } from 'node:util';
import { STRONGSWAN_VERSIONS, type StrongswanVersion } from './strongswan.ts';

export interface DemoOptions {
  /** End when everything was shown, instead of at Ctrl-C. */
  readonly once: boolean;
  /** Write one JSON object as the last line of standard output, all else to standard error. */
  readonly json: boolean;
  readonly strongswan: StrongswanVersion;
  /** Leave a lab that did not come up, for a look. */
  readonly keepFailed: boolean;
  /** Only remove this lab, one that was left. */
  readonly remove: string | undefined;
  /** What the step before the demo took. */
  readonly installSeconds: number;
}

/** `scripts/demo` has the help and checks the same before it installs anything. Throws TypeError, made for people. */
export function parseDemoOptions(args: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      once: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      strongswan: { type: 'string', default: '5.9' },
      'keep-failed': { type: 'boolean', default: false },
      remove: { type: 'string' },
      'install-seconds': { type: 'string', default: '0' },
    },
  });
  const strongswan = STRONGSWAN_VERSIONS.find((version) => version === values.strongswan);
  if (strongswan === undefined) {
    throw new TypeError(`--strongswan: ${values.strongswan} is not one of ${STRONGSWAN_VERSIONS.join(', ')}`);
  }
  return {
    once: values.once,
    json: values.json,
    strongswan,
    keepFailed: values['keep-failed'],
    remove: values.remove,
    installSeconds: Number(values['install-seconds']),
  };
}

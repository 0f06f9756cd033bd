import type { IpsecKeywords } from './ipsec-keywords.ts';
import type { AuthRound, ImportedConnection } from './imported.ts';

/** What `config setup` says about all connections. */
export interface IpsecSetup {
  readonly unique: NonNullable<ImportedConnection['ike']['unique']>;
  readonly revocation: AuthRound['revocation'];
}

/** `replace` is strongSwan's own reading of `yes` (`stroke_config.c`). */
const UNIQUE = { no: 'no', yes: 'replace', replace: 'replace', keep: 'keep', never: 'never' } as const;
const REVOCATION = { no: undefined, yes: 'strict', ifuri: 'ifuri' } as const;

export function readSetup(keywords: IpsecKeywords): IpsecSetup {
  const unique = keywords.oneOf('uniqueids', ['no', 'yes', 'replace', 'keep', 'never'], 'yes');
  const strict = keywords.oneOf('strictcrlpolicy', ['no', 'yes', 'ifuri'], 'no');
  if (keywords.flag('cachecrls', false)) {
    keywords.warn('cachecrls', 'cachecrls: set charon.cache_crls = yes in strongswan.conf instead');
  }
  keywords.warn('charondebug', 'charondebug: set up charon-systemd.journal or a filelog in strongswan.conf instead');
  keywords.finish();
  return { unique: UNIQUE[unique], revocation: REVOCATION[strict] };
}

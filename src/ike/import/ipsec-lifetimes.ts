import type { ImportedChild, ImportedConnection } from './imported.ts';
import type { IpsecKeywords } from './ipsec-keywords.ts';

/** strongSwan's defaults (`starter/confread.c`), in seconds. */
const IKE_LIFETIME = 3 * 3600;
const CHILD_LIFETIME = 3600;
const MARGIN = 540;

export interface IpsecLifetimes {
  readonly ike: Pick<ImportedConnection['ike'], 'rekeySeconds' | 'reauthSeconds' | 'overSeconds' | 'randomSeconds'>;
  readonly child: Omit<ImportedChild, 'name'>;
}

/**
 * ipsec.conf counts back from the end of an SA, charon forward (`stroke_config.c`): rekeying begins at lifetime less
 * margin, less a random part of `margin * rekeyfuzz`. With `rekey=no` an SA lives for ever, whatever its lifetime
 * says.
 */
export function readLifetimes(keywords: IpsecKeywords): IpsecLifetimes {
  const margin = keywords.seconds(['margintime', 'rekeymargin'], MARGIN);
  const fuzz = Number(keywords.matching('rekeyfuzz', /^\d{1,6}%$/, 'a percentage such as 100%')?.slice(0, -1) ?? 100);
  const random = Math.floor((margin * fuzz) / 100);
  const ikeLife = keywords.seconds(['ikelifetime'], IKE_LIFETIME);
  const childLife = keywords.seconds(['keylife', 'lifetime'], CHILD_LIFETIME);
  const reauth = keywords.flag('reauth', true);
  const volume = { ...readVolume(keywords, 'bytes', fuzz), ...readVolume(keywords, 'packets', fuzz) };
  if (!keywords.flag('rekey', true)) {
    return {
      ike: { rekeySeconds: 0, reauthSeconds: 0, overSeconds: 0, randomSeconds: 0 },
      child: { rekeySeconds: 0, lifeSeconds: 0, randomSeconds: 0 },
    };
  }
  warnOfMargin(keywords, 'ikelifetime', ikeLife, margin);
  warnOfMargin(keywords, 'keylife', childLife, margin);
  const ikeAt = Math.max(0, ikeLife - margin);
  return {
    ike: {
      rekeySeconds: reauth ? 0 : ikeAt,
      reauthSeconds: reauth ? ikeAt : 0,
      overSeconds: margin,
      randomSeconds: random,
    },
    child: {
      rekeySeconds: Math.max(0, childLife - margin),
      lifeSeconds: childLife,
      randomSeconds: random,
      ...volume,
    },
  };
}

function warnOfMargin(keywords: IpsecKeywords, name: string, life: number, margin: number): void {
  if (life > margin) return;
  const message = `${name} is not longer than rekeymargin (${margin} s), so there is no rekeying; make the margin shorter`;
  for (const written of [name, 'lifetime', 'rekeymargin', 'margintime']) keywords.warn(written, message);
}

function readVolume(keywords: IpsecKeywords, unit: 'bytes' | 'packets', fuzz: number): Omit<ImportedChild, 'name'> {
  const life = keywords.count(`life${unit}`, 0);
  const margin = keywords.count(`margin${unit}`, 0);
  if (life === 0) return {};
  const rekey = Math.max(0, life - margin);
  const random = Math.floor((margin * fuzz) / 100);
  return unit === 'bytes'
    ? { rekeyBytes: rekey, lifeBytes: life, randomBytes: random }
    : { rekeyPackets: rekey, lifePackets: life, randomPackets: random };
}

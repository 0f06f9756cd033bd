import { ImportError, type Place } from './import-error.ts';
import { Secret } from './secret.ts';

/**
 * A secret as strongSwan writes it: `0x` hex, `0s` base64, else the text itself. Throws ImportError, without quoting
 * it.
 */
export function decodeSecret(written: string, place: Place): Secret {
  if (/^0x./i.test(written)) {
    const hex = written.slice(2).replaceAll(':', '');
    if (!/^[0-9a-f]+$/i.test(hex)) throw new ImportError('syntax', place, 'what follows 0x is not hex');
    return new Secret(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
  }
  if (/^0s./i.test(written)) {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(written.slice(2))) {
      throw new ImportError('syntax', place, 'what follows 0s is not base64');
    }
    return new Secret(Buffer.from(written.slice(2), 'base64'));
  }
  return new Secret(Buffer.from(written, 'utf8'));
}

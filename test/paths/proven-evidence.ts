import type { Evidence } from '../../src/paths/evidence.ts';

/** `CODE by SOURCE` */
export function inWords({ code, source }: Evidence): string {
  return `${code} by ${source}`;
}

/** What the lines of each end prove in each scenario of the captured log, hints left out, without repetition. */
export const PROVEN: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  'a wrong secret': { left: ['auth-failed by peer'], right: ['auth-failed by own'] },
  'no secret of its own': { left: ['auth-failed by own'] },
  'a certificate that the responder does not trust': { left: ['auth-failed by peer'], right: ['auth-failed by own'] },
  'a certificate that the initiator does not trust': { left: ['auth-failed by own'], right: ['auth-failed by peer'] },
  'a trusted certificate of another CA than the one required': {
    left: ['auth-failed by own'],
    right: ['auth-failed by peer'],
  },
  'an expired certificate': { left: ['auth-failed by peer'], right: ['auth-failed by own'] },
  'IKE proposals that do not fit': { left: ['no-proposal by peer'], right: ['no-proposal by own'] },
  'ESP proposals that do not fit': { left: ['no-proposal by peer'], right: ['no-proposal by own'] },
  'selectors that do not fit': { left: ['ts-unacceptable by peer'], right: ['ts-unacceptable by own'] },
  'a responder that knows no such peer': { left: ['auth-failed by peer'], right: ['peer-refused by own'] },
  'a responder without any connection': { left: ['no-proposal by peer'], right: ['peer-refused by own'] },
  'a responder that is not there': { left: ['peer-offline by peer'] },
  'a peer that is not registered': { edge1: ['peer-offline by mediator'] },
  'a mediated set-up that works': {},
  'mediated, selectors that do not fit': {
    edge1: ['ts-unacceptable by peer'],
    remote: ['ts-unacceptable by own'],
  },
  'mediated, a peer that knows no such node': { edge1: ['no-proposal by peer'], remote: ['peer-refused by own'] },
  "an answer that overtakes the mediator's confirmation": { edge1: ['stuck-in-charon by own'] },
  'no way between the two': {},
  'a mediator that does not reach the peer': { master1: ['peer-offline by peer'] },
  'a mediator that is not there': { remote: ['peer-offline by peer', 'stuck-in-charon by own'] },
};

import type { EvidenceCode } from '../../src/paths/evidence-rules.ts';
import type { Evidence } from '../../src/paths/evidence.ts';

/** What a line of charon's log proves that names nobody. */
export function evidence(code: EvidenceCode): Evidence {
  return {
    code,
    source: 'own',
    subject: { kind: 'none' },
    ikeSaId: undefined,
    isHint: false,
    advice: '',
    quote: 'a line of its log',
  };
}

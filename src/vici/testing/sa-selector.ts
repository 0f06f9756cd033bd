import type { ViciSection } from '../message.ts';
import type { FakeChildSa, FakeIkeSa } from './sa-sections.ts';
import { textOf } from './section-text.ts';

/** What `list-sas`, `terminate` and `rekey` select by. */
export interface SaSelector {
  readonly ike: string | undefined;
  readonly ikeId: string | undefined;
  readonly child: string | undefined;
  readonly childId: string | undefined;
}

/** Reads the keys `ike`, `ike-id`, `child` and `child-id`. */
export function selectorOf(request: ViciSection): SaSelector {
  return {
    ike: textOf(request, 'ike'),
    ikeId: textOf(request, 'ike-id'),
    child: textOf(request, 'child'),
    childId: textOf(request, 'child-id'),
  };
}

/** Whether it names no SA at all, which `terminate` and `rekey` refuse. */
export function isEmpty(selector: SaSelector): boolean {
  return Object.values(selector).every((part) => part === undefined);
}

/** Whether it is about CHILD SAs rather than whole IKE SAs. */
export function isAboutChildren({ child, childId }: SaSelector): boolean {
  return child !== undefined || childId !== undefined;
}

export function selectsIke({ ike, ikeId }: SaSelector, sa: FakeIkeSa): boolean {
  return (ike === undefined || ike === sa.name) && (ikeId === undefined || ikeId === String(sa.uniqueid));
}

export function selectsChild({ child, childId }: SaSelector, sa: FakeChildSa): boolean {
  return (child === undefined || child === sa.name) && (childId === undefined || childId === String(sa.uniqueid));
}

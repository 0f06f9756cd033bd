/**
 * All events of charon's VICI plugin. `control-log` and `list-*` are sent only while the command runs that they belong
 * to, and only to the connection that asked; a subscription to them stays silent. `alert` exists since 6.0.3.
 */
export const VICI_EVENTS = [
  'log',
  'control-log',
  'list-sa',
  'list-policy',
  'list-conn',
  'list-cert',
  'list-authority',
  'ike-updown',
  'ike-rekey',
  'ike-update',
  'child-updown',
  'child-rekey',
  'alert',
] as const;
export type ViciEventName = (typeof VICI_EVENTS)[number];

const SECONDS_OF_UNIT: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds in a duration as people write it: `30s`, `60m`, `24h`, `7d`, or a bare number of seconds. Else undefined. */
export function parseDurationSeconds(text: string): number | undefined {
  const match = /^(\d{1,9})([smhd])?$/.exec(text);
  if (match === null) return undefined;
  return Number(match[1]) * (SECONDS_OF_UNIT[match[2] ?? 's'] ?? 1);
}

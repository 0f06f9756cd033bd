import { describe, expect, it } from 'vitest';
import { parseReplies, parseStopped, parseSummary } from './ping.ts';

describe('a ping', () => {
  it('is read from its summary', () => {
    const output = '20 packets transmitted, 19 received, 5% packet loss, time 1938ms\n';
    expect(parseSummary(output)).toEqual({ sent: 20, received: 19 });
  });

  it('that sent nothing because it was misused is an error', () => {
    expect(() => parseSummary('ping: invalid argument')).toThrow('ping: invalid argument');
  });
});

describe('a ping that runs', () => {
  const first = '[1764168000.250000] 64 bytes from 7.7.8.1: icmp_seq=7 ttl=63 time=1.0 ms\n';

  it('tells when each answer came, and over how many hops', () =>
    expect(parseReplies(`PING 7.7.8.1\n${first}`)).toEqual([{ atMs: 1_764_168_000_250, sequence: 7, ttl: 63 }]));

  it('has not yet told what is half a line', () => expect(parseReplies(first + first.slice(0, -5))).toHaveLength(1));
});

describe('a ping that was stopped', () => {
  it('counts what was lost between two answers', () =>
    expect(parseStopped(output([1, 2, 5], 5), 0.05)).toEqual({ sent: 5, received: 3 }));

  it('counts an answer that came twice once', () =>
    expect(parseStopped(output([1, 2, 2], 2), 0.05)).toEqual({ sent: 2, received: 2 }));

  it('does not count what may still be under way', () =>
    expect(parseStopped(output([1, 2, 3], 10), 0.05)).toEqual({ sent: 3, received: 3 }));

  it('counts a loss that had lasted for more than a second', () =>
    expect(parseStopped(output([1, 2, 3], 100), 0.05)).toEqual({ sent: 100, received: 3 }));
});

function output(answered: readonly number[], sent: number): string {
  const answers = answered.map((sequence) => `64 bytes from 7.7.8.1: icmp_seq=${sequence} ttl=62 time=1.0 ms\n`);
  return `${answers.join('')}\n${sent} packets transmitted, ${answered.length} received, 0% packet loss, time 1ms\n`;
}

import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';

interface Action {
  readonly id: string;
  readonly unit?: string;
  readonly verb?: string;
}
type Rule = (
  action: { readonly id: string; readonly lookup: (key: string) => string | undefined },
  subject: { readonly user: string },
) => string;

/** What polkit would make of the shipped rule. */
function decide(user: string, { id, ...details }: Action): string {
  const rules: Rule[] = [];
  const polkit = {
    Result: { YES: 'yes', NOT_HANDLED: 'not handled' },
    addRule: (rule: Rule): void => void rules.push(rule),
  };
  runInNewContext(readFileSync('systemd/polkit-restart-charon.rules', 'utf8'), { polkit });
  const known = new Map<string, string>(Object.entries(details));
  expect(rules).toHaveLength(1);
  return rules[0]!({ id, lookup: (key) => known.get(key) }, { user });
}

const id = 'org.freedesktop.systemd1.manage-units';
const restart: Action = { id, unit: 'strongswan.service', verb: 'restart' };

describe('the rule for polkit', () => {
  it('lets the agent’s user restart strongSwan', () => {
    const sysusers = readFileSync('systemd/cygnet-agent.sysusers', 'utf8');
    const [, user = ''] = /^u (\S+)/m.exec(sysusers) ?? [];
    expect(decide(user, restart)).toBe('yes');
  });

  it.each<[string, string, Action]>([
    ['another user', 'cygnet-coordinator', restart],
    ['another service', 'cygnet-agent', { ...restart, unit: 'ssh.service' }],
    ['stopping it', 'cygnet-agent', { ...restart, verb: 'stop' }],
    ['installing units', 'cygnet-agent', { id: 'org.freedesktop.systemd1.manage-unit-files' }],
  ])('says nothing of %s', (_what, user, action) => expect(decide(user, action)).toBe('not handled'));
});

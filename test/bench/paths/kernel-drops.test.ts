import { expect, it } from 'vitest';
import { dropsBetween, totalsOf } from './kernel-drops.ts';

it('adds the kernel’s counters of several nodes up, and tells what came in between', () => {
  const before = totalsOf([
    'XfrmInError             \t0\nXfrmInNoStates          \t2\nXfrmInTmplMismatch      \t1\n',
    'XfrmInError             \t0\nXfrmInNoStates          \t3\nXfrmInTmplMismatch      \t0\n',
  ]);
  const after = totalsOf(['XfrmInError             \t0\nXfrmInNoStates          \t9\nXfrmInTmplMismatch      \t1\n']);
  expect(dropsBetween(new Map(), before)).toBe('XfrmInNoStates 5, XfrmInTmplMismatch 1');
  expect(dropsBetween(before, after)).toBe('XfrmInNoStates 4');
  expect(dropsBetween(after, after)).toBe('none');
});

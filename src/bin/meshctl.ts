#!/usr/bin/env node
import { meshctl } from '../cli/meshctl.ts';
import { processTerminal } from '../cli/terminal.ts';
import { systemClock } from '../clock.ts';

process.exitCode = await meshctl(process.argv.slice(2), {
  terminal: processTerminal(),
  clock: systemClock,
  stdin: process.stdin,
});

#!/usr/bin/env node
import { agentctl } from '../cli/agentctl.ts';
import { processTerminal } from '../cli/terminal.ts';

process.exitCode = await agentctl(process.argv.slice(2), processTerminal());

import { spawn } from 'node:child_process';

/** Runs swanctl against a charon and drops what it prints; rejects when it fails. */
export function swanctl(socketPath: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('swanctl', [...args, '--uri', `unix://${socketPath}`], { stdio: ['ignore', 'ignore', 'pipe'] });
    const errors: string[] = [];
    child.stderr.on('data', (chunk) => errors.push(String(chunk)));
    child.once('error', reject);
    child.once('exit', (code) => {
      if (code === 0) return resolve();
      return reject(new Error(`swanctl ${args.join(' ')} ended with ${code}: ${errors.join('').slice(-500)}`));
    });
  });
}

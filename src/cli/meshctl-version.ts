import { Command } from 'commander';
import { statusReplySchema } from '../coordinator/api.ts';
import { packageVersion } from '../version.ts';
import { CliError } from './cli-error.ts';
import type { MeshctlContext } from './meshctl-context.ts';

export function versionCommand({ terminal, api }: MeshctlContext): Command {
  return new Command('version')
    .description('print the versions of meshctl and of the coordinator, if that is running')
    .option('--json', 'as JSON')
    .action(async ({ json }: { readonly json?: true }) => {
      const versions = { meshctl: packageVersion(), coordinator: await coordinatorVersion(api()) };
      const text = `meshctl ${versions.meshctl}\ncoordinator ${versions.coordinator ?? 'cannot be reached'}\n`;
      terminal.out(json ? `${JSON.stringify(versions)}\n` : text);
    });
}

async function coordinatorVersion(api: ReturnType<MeshctlContext['api']>): Promise<string | null> {
  try {
    return (await api.get('/v1/status', statusReplySchema)).version;
  } catch (error) {
    if (error instanceof CliError) return null;
    throw error;
  }
}

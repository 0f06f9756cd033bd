import { parseYaml, type Mistake } from '../yaml-document.ts';
import { checkMeshSpec } from './mesh-spec-checks.ts';
import { meshSpecSchema, type MeshSpec } from './mesh-spec.ts';

export type MeshSpecResult =
  | { readonly ok: true; readonly spec: MeshSpec }
  | { readonly ok: false; readonly mistakes: readonly Mistake[] };

/** Reads a mesh spec in YAML or JSON; a spec that comes back can be compiled. */
export function parseMeshSpec(text: string): MeshSpecResult {
  const parsed = parseYaml(text, meshSpecSchema);
  if (!parsed.ok) return parsed;
  const mistakes = checkMeshSpec(parsed.value).map(({ path, message }) => parsed.mistakeAt(path, message));
  return mistakes.length > 0 ? { ok: false, mistakes } : { ok: true, spec: parsed.value };
}

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { generatePrivateKey } from '../../src/identity/keys.ts';
import { createMeshCa, type MeshCa } from '../../src/identity/mesh-ca.ts';

export const SUBJECT = 'C=CN, O=Local Cluster';
export const MESH = 'mesh.example';

export function meshCa(mesh = MESH): Promise<MeshCa> {
  return createMeshCa({ mesh, subject: SUBJECT, nowMs: Date.now() });
}

export function publicKeyOf(privateKeyPem: string): KeyObject {
  return createPublicKey(createPrivateKey(privateKeyPem));
}

export async function somePublicKey(): Promise<KeyObject> {
  return publicKeyOf(await generatePrivateKey('ecdsa-p256'));
}

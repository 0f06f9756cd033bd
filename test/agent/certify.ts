import { issueChannelCertificate, issueIkeCertificate } from '../../src/identity/certificates.ts';
import { verifyCsr } from '../../src/identity/csr.ts';
import type { EnrolmentReply, EnrolmentRequest } from '../../src/identity/enrolment.ts';
import type { MeshCa } from '../../src/identity/mesh-ca.ts';
import { MESH_KEY } from '../control/statements.ts';

/** What the coordinator does for a node that has a good token: certifies its keys, for edge1. */
export async function certify(ca: MeshCa, request: EnrolmentRequest): Promise<EnrolmentReply> {
  const issuance = { node: 'edge1', nowMs: Date.now() };
  const channel = await verifyCsr(request.channelCsr);
  const { ikeCsr } = request;
  return {
    node: 'edge1',
    mesh: ca.mesh,
    ca: ca.certificatePem,
    signingKeys: [MESH_KEY.publicKey],
    channelCertificate: await issueChannelCertificate(ca, { ...issuance, publicKey: channel.publicKey }),
    ...(ikeCsr !== undefined && {
      ikeCertificate: await issueIkeCertificate(ca, { ...issuance, publicKey: (await verifyCsr(ikeCsr)).publicKey }),
    }),
  };
}

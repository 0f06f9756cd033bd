import type { pause } from '../../clock.ts';
import { Asker, type Question } from './asker.ts';
import { isIpv6, type Endpoint } from './endpoint.ts';
import { decodeIkeAnswer, encodeIkeProbe, SPI_BYTES } from './ike-probe.ts';
import type { UdpNetwork } from './udp-network.ts';

/** The port that takes IKE bare; any other one takes it behind a marker. */
const BARE_PORT = 500;

export interface KnockDeps {
  readonly network: Pick<UdpNetwork, 'open'>;
  /** Unpredictable, so that nobody off the path can answer. */
  readonly randomBytes: (count: number) => Uint8Array;
  readonly pause: typeof pause;
}

/** Whether an IKE daemon answers strangers there. Within 1.5 s; false also when it cannot be asked, or `signal` aborts. */
export async function hasIke(deps: KnockDeps, to: Endpoint, signal: AbortSignal): Promise<boolean> {
  const asker = new Asker(deps);
  const family = isIpv6(to.address) ? 6 : 4;
  try {
    await using socket = await deps.network.open({ family, port: 0, onDatagram: asker.received });
    return (await asker.ask(socket, ikeQuestion(to, deps.randomBytes), signal)) === true;
  } catch {
    return false;
  }
}

/** True is the only answer. */
export function ikeQuestion(to: Endpoint, randomBytes: (count: number) => Uint8Array): Question<true> {
  const marker = to.port !== BARE_PORT;
  const spi = randomBytes(SPI_BYTES);
  return {
    to,
    datagram: encodeIkeProbe(spi, { marker }),
    read: (datagram) => {
      const message = decodeIkeAnswer(datagram, { marker });
      return message.type !== 'refused' && Buffer.compare(message.initiatorSpi, spi) === 0 ? true : undefined;
    },
  };
}

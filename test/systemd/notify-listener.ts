import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** Stands in for systemd: prints each datagram in hex as one line. Node has no Unix datagram sockets. */
const LISTENER = `
  use Socket;
  my $address = $ARGV[0];
  $address =~ s/^@/\\0/;
  socket(my $in, AF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
  bind($in, pack_sockaddr_un($address)) or die "bind: $!";
  $| = 1;
  print "listening\\n";
  while (defined recv($in, my $datagram, 65536, 0)) { print unpack('H*', $datagram), "\\n" }
`;

export interface NotifyListener extends AsyncDisposable {
  /** What NOTIFY_SOCKET holds. */
  readonly address: string;
  /** The next datagram; waits for it. */
  next(): Promise<string>;
  /** Lets datagrams queue up from now on, until the kernel takes no more. */
  stopReading(): void;
}

/** Listens on a path, or on `@name` in the abstract namespace; ready for senders when it resolves. */
export async function listenForNotifications(address: string): Promise<NotifyListener> {
  const child = spawn('perl', ['-e', LISTENER, address], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done === true) throw new Error('the listener has ended');
    return line.value;
  };
  await nextLine();
  return {
    address,
    next: async () => Buffer.from(await nextLine(), 'hex').toString('utf8'),
    stopReading: () => child.kill('SIGSTOP'),
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

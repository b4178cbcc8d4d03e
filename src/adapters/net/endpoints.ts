/** The two ends of a connection, by which what is known of it in one place is found in another. */

/** Addresses and ports; undefined: it is closed. */
export interface Endpoints {
  remoteAddress?: string | undefined;
  remotePort?: number | undefined;
  localAddress?: string | undefined;
  localPort?: number | undefined;
}

/** A name of a connection that no other one open has. */
export function connectionKey({ remoteAddress, remotePort, localAddress, localPort }: Endpoints): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

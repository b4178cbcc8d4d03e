/**
 * Pings a WebSocket, which keeps boxes in between from closing it, and ends one whose other end is gone. Pings stand in line with data:
 * so it counts as life too that a full connection empties, and nothing is expected of a connection that is not read. Looks are counted,
 * not time: after a pause of this process the answers to its pings are still to be read.
 */
import type { Socket } from "node:net";
import type { WebSocket } from "./websocket.ts";

/** HTTP proxies close what is silent for a minute. */
export const PINGS = { everyMs: 20_000, unheard: 3 };

/** @param reads whether the connection is being read  @param gone hears that the other end is  @returns ends the pings */
export function pinged(
  webSocket: Pick<WebSocket, "ping">,
  socket: Socket,
  { reads, gone }: { reads(): boolean; gone(): void },
  { everyMs, unheard } = PINGS,
): () => void {
  let silent = 0;
  let waiting = 0;
  const heard = () => silent = 0;
  const look = () => {
    const waited = waiting;
    waiting = socket.writableLength;
    if (!reads() || waiting < waited) heard();
    if (silent >= unheard) return gone();
    silent++;
    if (waiting === 0) webSocket.ping();
  };
  socket.on("data", heard);
  const timer = setInterval(look, everyMs);
  return () => {
    clearInterval(timer);
    socket.off("data", heard);
  };
}

/** A reader of Argo CD's cache, in argocd-server's place: values over one connection, changes over another. */
import { Buffer } from "node:buffer";
import { createClient, RESP_TYPES } from "@redis/client";

const RETRY_MS = 50;

export interface CacheReader {
  /** The value of a key, once there is a connection; undefined: there is none. @throws Error with the server's refusal */
  get(key: string): Promise<Uint8Array | undefined>;
  close(): void;
}

/** Connects, and again whenever a connection breaks. @param changed is called when `channel` tells of a change */
export function openCacheReader(port: number, channel: string, changed: () => void): CacheReader {
  const values = connect(port);
  const leave = watchChannel(port, channel, changed);
  const bytes = values.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  return {
    get: async (key) => await bytes.get(key) ?? undefined,
    close: () => {
      values.destroy();
      leave();
    },
  };
}

/** Subscribes over a connection of its own, until the result is called. */
export function watchChannel(port: number, channel: string, changed: () => void): () => void {
  const client = connect(port);
  client.subscribe(channel, changed).catch(() => {});
  return () => client.destroy();
}

function connect(port: number) {
  const socket = { host: "127.0.0.1", port, reconnectStrategy: () => RETRY_MS };
  const client = createClient({ RESP: 3, socket }).on("error", () => {});
  client.connect().catch(() => {});
  return client;
}

/**
 * The Redis of a simulated agent's cluster, as far as its principal asks for it. It answers as a Go agent does, its peculiarities included:
 * a key of another form has no answer, a subscription is confirmed at once, and a ping of an unknown connection is answered.
 */
import { parseJson } from "../base/json.ts";
import { isRecord } from "../domain/resources/object.ts";

/** An answer or a notice: the id of the question that it goes back to, and its payload. */
export interface RedisAnswer {
  uuid: string;
  connectionUuid: string;
  body: Record<string, unknown>;
}

interface Subscription {
  uuid: string;
  connection: string;
  /** The channel as the principal named it, and as the cluster's Argo CD does. */
  asked: string;
  own: string;
}

const PREFIXES = ["app|resources-tree|", "app|managed-resources|"];

export class SimRedis {
  /** Values by the key that the cluster's Argo CD gives them. */
  readonly values = new Map<string, Uint8Array>();
  /** Questions by their kind, for tests. */
  readonly asked = { get: 0, subscribe: 0, ping: 0 };
  /** An error with which every `get` is answered; empty: none. */
  broken = "";
  #subscriptions: Subscription[] = [];

  /** @param wholeKeys whether keys are used as they come: destination-based mapping */
  constructor(private readonly send: (answer: RedisAnswer) => void, private readonly wholeKeys: boolean) {}

  /** Answers a question. @throws Error where a Go agent has no answer */
  question(payload: Uint8Array | undefined): void {
    const { uuid, connectionUuid, body } = parseJson(new TextDecoder().decode(payload)) as RedisAnswer;
    const answer = (said: Record<string, unknown>) => this.send({ uuid, connectionUuid, body: said });
    const { get, subscribe, ping } = body;
    if (isRecord(get)) {
      this.asked.get++;
      return answer({ get: this.#get(this.#ownKey(String(get["key"]))) });
    }
    if (isRecord(subscribe)) {
      this.asked.subscribe++;
      const asked = String(subscribe["channel"]);
      this.#subscriptions.push({ uuid, connection: connectionUuid, asked, own: this.#ownKey(asked) });
      return answer({ subscribeResponse: { error: "" } });
    }
    if (!isRecord(ping)) throw new Error("the question is not known");
    this.asked.ping++;
    answer({ pong: {} });
  }

  /** Publishes on a channel of the cluster; how many subscriptions hear it. */
  publish(channel: string): number {
    const hearing = this.#subscriptions.filter(({ own }) => own === channel);
    for (const { uuid, connection, asked } of hearing) {
      this.send({ uuid, connectionUuid: connection, body: { pushFromSubscribe: { channelName: asked } } });
    }
    return hearing.length;
  }

  /** The agent's process has ended, and its subscriptions with it. */
  forget(): void {
    this.#subscriptions = [];
  }

  #get(key: string): Record<string, unknown> {
    if (this.broken !== "") return { bytes: null, cacheHit: false, error: this.broken };
    const value = this.values.get(key);
    return { bytes: value ? value.toBase64() : null, cacheHit: value !== undefined, error: "" };
  }

  #ownKey(key: string): string {
    if (this.wholeKeys) return key;
    const [app, kind, instance = "", ...rest] = key.split("|");
    const at = instance.indexOf("_");
    if (!PREFIXES.some((prefix) => key.startsWith(prefix)) || rest.length !== 1 || at < 0) {
      throw new Error(`unexpected key "${key}"`);
    }
    return [app, kind, instance.slice(at + 1), ...rest].join("|");
  }
}

/**
 * One client of the Redis proxy and its connection to the real Redis. Every command goes to the real Redis as it came, so that this one
 * decides who may do what; of a GET that belongs to an agent the reply is replaced by the agent's answer unless it is a refusal, and a
 * subscription to an agent's channel gets the agent's notices as well.
 *
 * Invariant: replies are matched with commands in order. What would break that is passed through, and nothing of it is answered here.
 */
import type { Socket } from "node:net";
import { type Frame, FrameReader, MalformedFrame, type Part } from "../../domain/redis/frames.ts";
import type { AgentCaches, CachePlace } from "../../principal/ports/agent_caches.ts";
import { answerBytes, concat, messageBytes, type Protocol } from "./replies.ts";
import { ReplyQueue } from "./reply_queue.ts";

/** A command whose reply is still to come. */
type Due =
  | { do: "pass" }
  | { do: "get"; place: CachePlace }
  /** `protocol` is what the client asks for. */
  | { do: "hello"; protocol: Protocol | undefined }
  | { do: "reset" }
  /** `left` confirmations are to come; undefined: nobody knows how many. */
  | { do: "subscription"; left: number | undefined; confirmed: boolean };

/** Commands with one reply for each argument, or none and messages instead. */
const SUBSCRIPTION = /^[ps]?(un)?subscribe$/;
const MESSAGE = /^[ps]?message$/;
/** After these, replies and commands no longer belong together. */
const UNPAIRED = new Set(["monitor", "sync", "psync", "replconf"]);
/** Commands of a client that may wait for their replies. */
const MAX_DUE = 1_024;
/** A client takes a reply within this time. */
const TAKE_MS = 60_000;
/** Replies of this type, of which nothing is kept, are replaced by an agent's. */
const REPLACED = new Set(["$", "_"]);

/** The parts of a connection. */
export interface ConnectionParts {
  readonly caches: AgentCaches;
  /** The client's connection is in use; the result ends that. */
  busy(): () => void;
}

export class ProxyConnection {
  readonly #commands = new FrameReader("*");
  readonly #replies = new FrameReader();
  readonly #due: Due[] = [];
  readonly #out: ReplyQueue;
  /** The agents' channels that the client watches. */
  readonly #watched = new Map<string, () => void>();
  readonly #gone = new AbortController();
  #protocol: Protocol = 2;
  #passing = false;
  #subscribes = false;
  #isSubscribed = false;
  /** The reply of Redis to a GET that an agent answers, kept where it is a refusal. */
  #refusal: { type: string; bytes: Uint8Array[] } | undefined;
  #idle: (() => void) | undefined;
  #taking: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly client: Socket,
    private readonly redis: Socket,
    private readonly parts: ConnectionParts,
  ) {
    this.#out = new ReplyQueue(client, () => this.#paced());
    client.on("data", (chunk: Uint8Array) => this.#asked(chunk));
    redis.on("data", (chunk: Uint8Array) => this.#answered(chunk));
    redis.on("drain", () => this.#paced());
    client.on("end", () => this.close());
    client.on("close", () => this.close());
    for (const socket of [client, redis]) socket.on("error", () => this.close());
    // A client that still reads hears the last reply; its own end closes the rest.
    for (const event of ["end", "close"]) redis.on(event, () => this.#out.finish(() => client.end()));
  }

  /** Closes both connections. */
  close(): void {
    if (this.#gone.signal.aborted) return;
    this.#gone.abort(new Error("the client has left"));
    this.#unwatch();
    clearTimeout(this.#taking);
    this.#idle?.();
    this.client.destroy();
    this.redis.destroy();
  }

  #asked(chunk: Uint8Array): void {
    try {
      if (!this.#passing) {
        for (const { ends } of this.#commands.read(chunk)) if (ends) this.#command(ends);
      }
    } catch (error) {
      if (!(error instanceof MalformedFrame)) throw error;
      this.#passOn();
    }
    this.redis.write(chunk);
    this.#paced();
  }

  #command({ count, texts }: Frame): void {
    if (this.#passing || count < 1) return;
    const [command, argument] = texts;
    const name = command?.toLowerCase() ?? "";
    if (UNPAIRED.has(name) || (name === "client" && argument?.toLowerCase() === "reply")) {
      return this.#passOn();
    }
    this.#due.push(this.#dueOf(name, argument, count));
  }

  #dueOf(name: string, argument: string | undefined, count: number): Due {
    if (name === "get" && count === 2 && argument !== undefined) {
      const place = this.parts.caches.place(argument);
      return place ? { do: "get", place } : { do: "pass" };
    }
    if (SUBSCRIPTION.test(name)) {
      this.#subscribes = true;
      return { do: "subscription", left: count > 1 ? count - 1 : undefined, confirmed: false };
    }
    if (name === "hello") {
      const protocol = argument === "2" ? 2 : argument === "3" ? 3 : undefined;
      return { do: "hello", protocol };
    }
    return name === "reset" ? { do: "reset" } : { do: "pass" };
  }

  /** From here on commands are not looked at. */
  #passOn(): void {
    this.#passing = true;
    this.#unwatch();
  }

  #answered(chunk: Uint8Array): void {
    // Without a command that waits, what comes need not be a reply at all.
    if (this.#passing && this.#due.length === 0 && !this.#replies.within) this.#out.add(chunk, false);
    else {
      try {
        for (const part of this.#replies.read(chunk)) this.#replyPart(part);
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error;
        this.close();
      }
    }
    this.#paced();
  }

  #replyPart({ bytes, begins, ends }: Part): void {
    if (begins !== undefined && this.#due[0]?.do === "get" && !this.#isMessageType(begins)) {
      this.#refusal = { type: begins, bytes: [] };
    }
    if (!this.#refusal) this.#out.add(bytes, ends === undefined);
    else if (!REPLACED.has(this.#refusal.type)) this.#refusal.bytes.push(bytes);
    if (ends) this.#reply(ends);
    this.#paced();
  }

  /** A message comes between replies: in RESP3 by its type, in RESP2 as an array, which is never the reply of a GET. */
  #isMessageType(type: string): boolean {
    return type === ">" || type === "*";
  }

  #reply(frame: Frame): void {
    if (this.#isMessage(frame)) return this.#confirmed(frame);
    if (this.#due[0]?.do === "subscription" && this.#due[0].confirmed && this.#due[0].left === undefined) {
      this.#due.shift();
    }
    const due = this.#due.shift();
    const refused = frame.type === "-" || frame.type === "!";
    if (due?.do === "get") this.#answerGet(due.place, frame);
    else if (due?.do === "hello" && !refused) this.#protocol = due.protocol ?? this.#protocol;
    else if (due?.do === "reset" && !refused) {
      this.#protocol = 2;
      this.#isSubscribed = false;
      this.#unwatch();
    }
  }

  #isMessage({ type, count, texts: [kind = ""] }: Frame): boolean {
    if (type === ">") return true;
    if (type !== "*" || this.#protocol === 3 || !this.#subscribes) return false;
    return (count === 3 && (SUBSCRIPTION.test(kind) || MESSAGE.test(kind))) ||
      (count === 4 && kind === "pmessage");
  }

  /** A subscription is confirmed, or ended. */
  #confirmed({ texts: [kind = "", channel, left] }: Frame): void {
    if (!SUBSCRIPTION.test(kind)) return;
    this.#isSubscribed = left !== "0";
    const due = this.#due[0];
    if (due?.do === "subscription") {
      due.confirmed = true;
      if (due.left !== undefined && --due.left === 0) this.#due.shift();
    }
    if (channel === undefined || this.#passing) return;
    if (kind === "subscribe" && !this.#watched.has(channel)) this.#watch(channel);
    if (kind === "unsubscribe") this.#unwatch(channel);
  }

  #watch(channel: string): void {
    const place = this.parts.caches.place(channel);
    if (!place) return;
    const changed = () => this.#out.announce(channel, () => messageBytes(channel, this.#protocol));
    this.#watched.set(channel, this.parts.caches.watch(place, changed));
  }

  #unwatch(...channels: string[]): void {
    for (const channel of channels.length > 0 ? channels : [...this.#watched.keys()]) {
      this.#watched.get(channel)?.();
      this.#watched.delete(channel);
      this.#out.retract(channel);
    }
  }

  #answerGet(place: CachePlace, { type }: Frame): void {
    const refusal = this.#refusal?.bytes ?? [];
    this.#refusal = undefined;
    // An error, or QUEUED within a transaction.
    if (!REPLACED.has(type)) return this.#out.add(concat(refusal), false);
    const fill = this.#out.hold();
    this.parts.caches.get(place, this.#gone.signal).then(
      (answer) => fill(...answerBytes(answer, this.#protocol)),
      () => this.close(),
    );
  }

  /** Reads of either side as fast as the other takes it. */
  #paced(): void {
    if (this.#gone.signal.aborted) return;
    pace(this.client, this.redis.writableNeedDrain || this.#due.length >= MAX_DUE);
    pace(this.redis, this.#out.full);
    const inUse = this.#due.length > 0 || this.#out.held > 0 || this.#isSubscribed;
    if (inUse || this.#passing) this.#idle ??= this.parts.busy();
    if (!inUse) {
      this.#idle?.();
      this.#idle = undefined;
    }
    if (!this.client.writableNeedDrain) {
      clearTimeout(this.#taking);
      this.#taking = undefined;
    } else this.#taking ??= setTimeout(() => this.close(), TAKE_MS);
  }
}

function pace(socket: Socket, wait: boolean): void {
  if (wait === socket.isPaused()) return;
  if (wait) socket.pause();
  else socket.resume();
}

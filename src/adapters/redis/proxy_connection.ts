/**
 * One client of the Redis proxy and its connection to the real Redis. Every command goes to the real Redis as it came, so that this one
 * decides who may do what; of a GET that belongs to an agent the reply is replaced by the agent's answer unless it is a refusal, and a
 * subscription to an agent's channel gets the agent's notices as well.
 *
 * Invariant: replies are matched with commands in order. What would break that is passed through, and nothing of it is answered here.
 */
import { concat } from "@std/bytes/concat";
import type { Socket } from "node:net";
import { type Frame, FrameReader, MalformedFrame, type Part } from "../../domain/redis/frames.ts";
import type { AgentCaches, CachePlace } from "../../principal/ports/agent_caches.ts";
import { answerBytes, messageBytes, type Protocol } from "./replies.ts";
import { ReplyQueue } from "./reply_queue.ts";

/** A command whose reply is still to come. */
type Due =
  | { do: "pass" }
  | { do: "get"; place: CachePlace }
  /** `protocol` is what the client asks for. */
  | { do: "hello"; protocol: Protocol | undefined }
  | { do: "reset" }
  /** So many confirmations are to come; undefined: one for each name that is subscribed to when the first comes. */
  | { do: "subscription"; left: number | undefined };

/** Commands with one reply for each argument, or none and messages instead. */
const SUBSCRIPTION = /^([ps]?)(un)?subscribe$/;
const MESSAGE = /^[ps]?message$/;
/** Commands with any number of replies, or none. */
const UNPAIRED = new Set(["monitor", "sync", "psync", "replconf"]);
const ENDS_TRANSACTION = new Set(["exec", "discard", "reset"]);
/** Names of each form that a client may be subscribed to; with more its connection is passed through. */
const MAX_NAMES = 10_000;
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
  #isTransaction = false;
  /** The channels, patterns and shard channels that the client is subscribed to. */
  readonly #names = new Map<string, Set<string>>();
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
    if (name === "multi") this.#isTransaction = true;
    if (ENDS_TRANSACTION.has(name)) this.#isTransaction = false;
    if (this.#isUnpaired(name, argument)) return this.#passOn();
    this.#due.push(this.#dueOf(name, argument, count));
  }

  /** Whether replies and commands no longer belong together. */
  #isUnpaired(name: string, argument: string | undefined): boolean {
    if (UNPAIRED.has(name) || (name === "client" && argument?.toLowerCase() === "reply")) return true;
    // Redis puts as many arrays into the reply to EXEC as there are names, and announces one.
    return this.#isTransaction && (SUBSCRIPTION.test(name) || name === "hello");
  }

  #dueOf(name: string, argument: string | undefined, count: number): Due {
    if (name === "get" && count === 2 && argument !== undefined) {
      const place = this.parts.caches.place(argument);
      return place ? { do: "get", place } : { do: "pass" };
    }
    if (SUBSCRIPTION.test(name)) {
      return { do: "subscription", left: count > 1 ? count - 1 : undefined };
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
    const due = this.#due.shift();
    const refused = frame.type === "-" || frame.type === "!";
    if (due?.do === "get") this.#answerGet(due.place, frame);
    else if (due?.do === "hello" && !refused) this.#protocol = due.protocol ?? this.#protocol;
    else if (due?.do === "reset" && !refused) {
      this.#protocol = 2;
      this.#names.clear();
      this.#unwatch();
    }
  }

  /** In RESP2 only by what it says, and only where it can be one: a subscribed client may ask for no other array like it. */
  #isMessage({ type, count, texts: [kind = ""] }: Frame): boolean {
    if (type === ">") return true;
    if (type !== "*" || this.#protocol === 3) return false;
    if (count === 3 && SUBSCRIPTION.test(kind)) return this.#due[0]?.do === "subscription";
    return this.#isSubscribed && count === (kind === "pmessage" ? 4 : 3) && MESSAGE.test(kind);
  }

  /** A subscription is confirmed, or ended. */
  #confirmed({ texts: [kind = "", name] }: Frame): void {
    if (!SUBSCRIPTION.test(kind)) return;
    const [, form = "", ends] = SUBSCRIPTION.exec(kind) ?? [];
    const names = this.#names.get(form) ?? new Set();
    this.#names.set(form, names);
    const due = this.#due[0];
    if (due?.do === "subscription") {
      due.left = (due.left ?? Math.max(1, names.size)) - 1;
      if (due.left === 0) this.#due.shift();
    }
    if (name === undefined) return;
    if (ends) names.delete(name);
    else names.add(name);
    if (names.size > MAX_NAMES) this.#passOn();
    if (form !== "" || this.#passing) return;
    if (ends) this.#unwatch(name);
    else if (!this.#watched.has(name)) this.#watch(name);
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
    // A HELLO behind this command may change it before the answer is there.
    const protocol = this.#protocol;
    this.parts.caches.get(place, this.#gone.signal).then(
      (answer) => fill(...answerBytes(answer, protocol)),
      () => this.close(),
    );
  }

  get #isSubscribed(): boolean {
    return [...this.#names.values()].some(({ size }) => size > 0);
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

/** The port `Peer` over gRPC: each call encoded, its answer decoded, and its error translated once, into a `PeerError`. */
import type grpc from "@grpc/grpc-js";
import { parseStored } from "../../base/bounds.ts";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { reasonOf } from "../../base/reason.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import {
  type Asked,
  type FollowStream,
  type Peer,
  type PeerConnection,
  PeerError,
  type PeerErrorKind,
} from "../../principal/ports/peer.ts";
import type { StreamEvents } from "../../principal/ports/stream.ts";
import { call, type Client, type Method, openServerStream, openStream } from "./dial.ts";
import { followerMessageToWire, leaderMessageFromWire } from "./follow_wire.ts";
import { forwardedReplyFromWire, forwardedRequestToWire } from "./forward_wire.ts";
import { keptFromWire } from "./kept_wire.ts";
import { readLog } from "./log_link.ts";
import { progressFromWire, receiptFromWire } from "./receipt.ts";
import { linkService, replicationService } from "./services.ts";
import { Code, codeOf, explainCall } from "./status.ts";
import { openTerminal } from "./terminal_link.ts";
import {
  conditionFromWire,
  conditionToWire,
  digestFromWire,
  digestToWire,
  standingFromWire,
  storePointFromWire,
} from "./wire.ts";

const decoder = new TextDecoder();

/** How a `GrpcPeer` reaches the peer. */
export interface PeerAccess {
  /** As it is configured; empty: there is none. */
  address: string;
  /** A channel of its own. @throws Error where there can be none */
  dial(): Client;
  /** A Go principal's `/healthz`, which is 200 only when it is ACTIVE; empty: none is configured. */
  healthz: string;
  certificates: Peer["certificates"];
  /** In unix ms. */
  certificateNotAfterMs(): number;
  certificateProblem(): string;
}

/** The peer behind an address. */
export class GrpcPeer implements Peer {
  constructor(private readonly access: PeerAccess) {}

  connect(): PeerConnection {
    return new GrpcConnection(this.access.dial(), this.access.address);
  }

  async healthy(timeoutMs: number): Promise<boolean> {
    const { healthz } = this.access;
    if (healthz === "") return false;
    try {
      const response = await fetch(healthz, { signal: AbortSignal.timeout(timeoutMs), redirect: "manual" });
      await response.body?.cancel();
      return response.status === 200;
    } catch (error) {
      throw new PeerError("failed", `${healthz} does not answer: ${reasonOf(error)}`);
    }
  }

  certificates(): ReturnType<Peer["certificates"]> {
    return this.access.certificates();
  }

  certificateProblem(): string {
    return this.access.certificateProblem();
  }

  certificateNotAfterMs(): number {
    return this.access.certificateNotAfterMs();
  }
}

const KINDS: Partial<Record<grpc.status, PeerErrorKind>> = {
  [Code.FAILED_PRECONDITION]: "refused",
  [Code.UNIMPLEMENTED]: "unimplemented",
};

class GrpcConnection implements PeerConnection {
  constructor(private readonly client: Client, private readonly address: string) {}

  close(): void {
    this.client.close();
  }

  async ask(
    { standing, condition, examine }: Parameters<PeerConnection["ask"]>[0],
    timeoutMs: number,
  ): Promise<Asked> {
    const said = condition && conditionToWire(condition, Date.now());
    const request = { standing, condition: said, examine };
    const answer = await this.#call(linkService.Ask, request, timeoutMs);
    const seen = storePointFromWire(answer.seen);
    const asked = { standing: standingFromWire(answer.standing), ...(seen ? { seen } : {}) };
    if (!answer.condition) return asked;
    return {
      ...asked,
      condition: conditionFromWire(answer.condition),
      nowMs: answer.condition.nowMs ?? 0,
    };
  }

  log: PeerConnection["log"] = async (agent, url, signal) => {
    const stream = openServerStream(this.client, linkService.Log, { agent, url });
    return await readLog(stream, (error) => this.#translated(error), signal);
  };

  terminal: PeerConnection["terminal"] = async (agent, url, user) => {
    const stream = openStream(this.client, linkService.Terminal);
    return await openTerminal(stream, { agent, url, ...user }, (error) => this.#translated(error));
  };

  inventory: PeerConnection["inventory"] = async (groups, timeoutMs) => {
    const answer = await this.#call(linkService.Inventory, { groups: [...groups] }, timeoutMs);
    return {
      standing: standingFromWire(answer.standing),
      groups: (answer.groups ?? []).map(({ kind = "", agent = "", count = 0, digest }) => ({
        kind,
        agent,
        count,
        digest: digestFromWire(digest),
      })),
      entries: (answer.entries ?? []).map(({ key = "", digest }) => ({
        key,
        digest: digestFromWire(digest),
      })),
    };
  };

  fetch: PeerConnection["fetch"] = async (keys, salt, timeoutMs) => {
    const request = { keys: [...keys], ...(salt ? { salt } : {}) };
    const { entries = [] } = await this.#call(linkService.Fetch, request, timeoutMs);
    return entries.map(({ key = "", digest, object }) => ({
      key,
      digest: digestFromWire(digest),
      object: parsed(object),
    }));
  };

  repair: PeerConnection["repair"] = async (request, timeoutMs) => {
    const { standing, keys, who } = request;
    const { done = [], failed = [] } = await this.#call(linkService.Repair, {
      standing,
      keys: [...keys],
      timeoutMs: request.timeoutMs,
      who,
    }, timeoutMs);
    return { done, failed: failed.map(({ key = "", reason = "" }) => ({ key, reason })) };
  };

  prove: PeerConnection["prove"] = async (expected, timeoutMs) => {
    const { digest } = await this.#call(linkService.Prove, { digest: digestToWire(expected) }, timeoutMs);
    return digestFromWire(digest);
  };

  prepare: PeerConnection["prepare"] = async ({ standing, who }, timeoutMs) => {
    const request = { standing, who };
    const { promisedEpoch = 0 } = await this.#call(linkService.Prepare, request, timeoutMs);
    return promisedEpoch;
  };

  takeOver: PeerConnection["takeOver"] = async ({ standing, epoch }, timeoutMs) => {
    const request = { standing, epoch };
    return standingFromWire((await this.#call(linkService.TakeOver, request, timeoutMs)).standing);
  };

  kept: PeerConnection["kept"] = async (keys, timeoutMs) => {
    const { states = [] } = await this.#call(linkService.Kept, { keys: [...keys] }, timeoutMs);
    return states.map(keptFromWire);
  };

  settled: PeerConnection["settled"] = async (states, who, timeoutMs) => {
    const request = { states: states.map(({ key, digest }) => ({ key, digest: digestToWire(digest) })), who };
    await this.#call(linkService.Settled, request, timeoutMs);
  };

  switchover: PeerConnection["switchover"] = ({ who, dryRun, timeoutMs }, tell) => {
    const request = { who, dryRun, timeoutMs };
    return new Promise((resolve, reject) => {
      const stream = openServerStream(this.client, linkService.Switchover, request);
      stream.on("data", (message: argocdagentha.v1.SwitchoverProgress) => {
        if (message.receipt) return resolve(receiptFromWire(message.receipt));
        const progress = progressFromWire(message);
        if (progress) tell(progress);
      });
      stream.on("error", (error: unknown) => reject(this.#translated(error)));
      stream.on(
        "end",
        () => reject(new PeerError("failed", "the peer ended the switchover without a receipt")),
      );
    });
  };

  follow: PeerConnection["follow"] = (events) => {
    const stream = openStream(this.client, linkService.Follow);
    return this.#served(stream, events, followerMessageToWire, leaderMessageFromWire);
  };

  forward: PeerConnection["forward"] = (events) => {
    const stream = openStream(this.client, linkService.Forward);
    return this.#served(stream, events, forwardedRequestToWire, forwardedReplyFromWire);
  };

  readonly plain: PeerConnection["plain"] = {
    subscribe: (events) => {
      const stream = openStream(this.client, replicationService.Subscribe);
      return this.#served(stream, events, (ack) => ack, (event) => event);
    },
    snapshot: (request, timeoutMs) => this.#call(replicationService.GetSnapshot, request, timeoutMs),
    status: (timeoutMs) => this.#call(replicationService.Status, {}, timeoutMs),
    confirmMissing: (request, timeoutMs) =>
      this.#call(replicationService.ConfirmMissingResources, request, timeoutMs),
  };

  #served<Sent, Heard, SentWire, HeardWire>(
    stream: grpc.ClientDuplexStream<SentWire, HeardWire>,
    events: StreamEvents<Heard>,
    encode: (message: Sent) => SentWire,
    decode: (wire: HeardWire) => Heard | undefined,
  ): FollowStream<Sent> {
    let over = false;
    const closed = (error?: unknown) => {
      if (over) return;
      over = true;
      events.closed(error);
    };
    stream.on("data", (wire: HeardWire) => {
      if (over) return;
      try {
        const message = decode(wire);
        if (message !== undefined) events.received(message);
      } catch (error) {
        closed(new PeerError("failed", `a message of ${this.address} cannot be handled: ${reasonOf(error)}`));
        stream.cancel();
      }
    });
    stream.on("drain", () => events.drained());
    stream.on("error", (error: unknown) => closed(this.#translated(error)));
    stream.on("end", () => closed());
    return {
      send: (message) => over || stream.write(encode(message)),
      cancel: () => stream.cancel(),
    };
  }

  async #call<Q, S>(method: Method<Q, S>, request: Q, timeoutMs: number): Promise<S> {
    try {
      return await call(this.client, method, request, timeoutMs);
    } catch (error) {
      throw this.#translated(error);
    }
  }

  #translated(error: unknown): PeerError {
    const code = codeOf(error);
    const kind = code === undefined ? undefined : KINDS[code];
    return new PeerError(kind ?? "failed", explainCall(error, this.address));
  }
}

function parsed(object: Uint8Array | undefined): ApiObject | undefined {
  if (!object?.length) return undefined;
  const value: unknown = parseStored(decoder.decode(object));
  return isRecord(value) ? value as unknown as ApiObject : undefined;
}

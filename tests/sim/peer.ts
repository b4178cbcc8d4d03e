/** The peer port over the simulated network, and its serving side: the same calls as over gRPC, in domain values. */
import { reasonOf } from "../../src/base/reason.ts";
import { Refusal } from "../../src/domain/ha/refusal.ts";
import type { Progress, Receipt } from "../../src/domain/ha/switchover.ts";
import type { FollowerMessage, HeardFromLeader } from "../../src/domain/replication/messages.ts";
import {
  type Asked,
  type Fetched,
  type FollowStream,
  type Inventory,
  type KeptState,
  type Peer,
  type PeerConnection,
  PeerError,
  type PeerService,
  type Repaired,
} from "../../src/principal/ports/peer.ts";
import type { StreamEvents } from "../../src/principal/ports/stream.ts";
import type { Standing } from "../../src/domain/ha/state.ts";
import { asHeard } from "../support/replication.ts";
import { rightFor } from "../../src/adapters/grpc/rights.ts";
import { linkService } from "../../src/adapters/grpc/services.ts";
import type { Caller, Failure, Handler, Network, Server } from "./network.ts";

/** A refusal is held back for so long, as the real server does. */
export const REFUSAL_DELAY_MS = 1_000;

/** One message of a switchover that is under way, or its end. */
interface SwitchoverMessage {
  progress?: Progress;
  receipt?: Receipt;
}

/** How one host reaches its peer. */
export class SimPeer implements Peer {
  constructor(
    private readonly network: Network,
    private readonly caller: Caller,
    private readonly to: () => string,
  ) {}

  connect(): SimPeerConnection {
    return new SimPeerConnection(this.network, this.caller, this.to());
  }

  healthy(): Promise<boolean> {
    return Promise.resolve(false);
  }

  certificates(): ReturnType<Peer["certificates"]> {
    const { certificate } = this.caller;
    return certificate ? { own: certificate } : {};
  }

  certificateProblem(): string {
    return "";
  }

  certificateNotAfterMs(): number {
    return 0;
  }
}

export class SimPeerConnection implements PeerConnection {
  readonly #open = new Set<FollowStream<unknown>>();

  constructor(
    private readonly network: Network,
    private readonly caller: Caller,
    private readonly to: string,
  ) {}

  close(): void {
    for (const stream of this.#open) stream.cancel();
  }

  ask: PeerConnection["ask"] = (request, timeoutMs) => this.#call<Asked>("ask", [request], timeoutMs);
  inventory: PeerConnection["inventory"] = (groups, timeoutMs) =>
    this.#call<Inventory>("inventory", [groups], timeoutMs);
  fetch: PeerConnection["fetch"] = (keys, salt, timeoutMs) =>
    this.#call<Fetched[]>("fetch", [keys, salt], timeoutMs);
  repair: PeerConnection["repair"] = (request, timeoutMs) =>
    this.#call<Repaired>("repair", [request], timeoutMs);
  prove: PeerConnection["prove"] = (expected, timeoutMs) =>
    this.#call<string>("prove", [expected], timeoutMs);
  prepare: PeerConnection["prepare"] = (request, timeoutMs) =>
    this.#call<number>("prepare", [request], timeoutMs);
  takeOver: PeerConnection["takeOver"] = (request, timeoutMs) =>
    this.#call<Standing>("takeOver", [request], timeoutMs);
  kept: PeerConnection["kept"] = (keys, timeoutMs) => this.#call<KeptState[]>("kept", [keys], timeoutMs);
  settled: PeerConnection["settled"] = (states, who, timeoutMs) =>
    this.#call<void>("settled", [states, who], timeoutMs);

  switchover(request: Parameters<PeerConnection["switchover"]>[0], tell: (progress: Progress) => void) {
    return new Promise<Receipt>((resolve, reject) => {
      const stream = this.#stream<unknown, SwitchoverMessage>("switchover", {
        received: ({ progress, receipt }) => {
          if (progress) tell(progress);
          if (receipt) resolve(receipt);
        },
        drained: () => {},
        closed: (error = new PeerError("failed", "no receipt")) => reject(error),
      });
      stream.send(request);
    });
  }

  follow(events: StreamEvents<HeardFromLeader>): FollowStream<FollowerMessage> {
    return this.#stream("follow", events);
  }

  /** Requests to agents are no state, and not simulated. */
  forward: PeerConnection["forward"] = (events) => {
    events.closed(new PeerError("unimplemented", "not simulated"));
    return { send: () => true, cancel: () => {} };
  };

  terminal: PeerConnection["terminal"] = () =>
    Promise.reject(new PeerError("unimplemented", "not simulated"));
  log: PeerConnection["log"] = () => Promise.reject(new PeerError("unimplemented", "not simulated"));

  get plain(): PeerConnection["plain"] {
    throw new Error("the Go principal's contract is not simulated");
  }

  async #call<T>(name: string, request: unknown, timeoutMs: number): Promise<T> {
    try {
      return await this.network.call(this.caller, this.to, name, request, timeoutMs) as T;
    } catch (failure) {
      throw errorOf(failure as Failure);
    }
  }

  #stream<Sent, Heard>(name: string, events: StreamEvents<Heard>): FollowStream<Sent> {
    const connection = this.network.open(this.caller, this.to, name, {
      received: (message) => events.received(message as Heard),
      drained: () => events.drained(),
      ended: (failure) => events.closed(failure && errorOf(failure)),
    });
    const stream = {
      send: (message: Sent) => connection.send("server", message),
      cancel: () => connection.cancel(),
    };
    this.#open.add(stream);
    return stream;
  }
}

/** As in the table of rights. */
const READERS = new Set(
  ["inventory", "fetch", "repair", "prove", "prepare", "takeOver", "kept", "settled"].filter((name) => {
    const call = `${name[0]?.toUpperCase()}${name.slice(1)}` as keyof typeof linkService;
    return rightFor(linkService[call].path) === "read";
  }),
);

/** Serves the peer's calls and streams, each authorised first. */
export function servePeer(handlers: Server["handlers"], service: PeerService): void {
  const answers: Record<string, (...args: never[]) => unknown> = {
    inventory: (groups: string[]) => service.inventory(groups),
    fetch: (keys: string[], salt?: Uint8Array) => service.fetch(keys, salt),
    repair: (request: Parameters<PeerService["repair"]>[0]) => service.repair(request),
    prove: (expected: string) => service.prove(expected),
    prepare: (request: Parameters<PeerService["prepare"]>[0]) => service.prepare(request),
    takeOver: (request: Parameters<PeerService["takeOver"]>[0]) => service.takeOver(request),
    kept: (keys: string[]) => service.kept(keys),
    settled: (...[states, who]: Parameters<PeerService["settled"]>) => service.settled(states, who),
  };
  handlers.set(
    "ask",
    unary((args, caller) => {
      const [request] = args as Parameters<PeerService["ask"]>;
      return service.ask(request, service.authorize(caller.certificate, "read"));
    }),
  );
  for (const [name, answer] of Object.entries(answers)) {
    handlers.set(
      name,
      unary((args, caller) => {
        service.authorize(caller.certificate, READERS.has(name) ? "read" : "peer");
        return answer(...args as never[]);
      }),
    );
  }
  handlers.set("switchover", (stream) => {
    const run = async (request: unknown) => {
      service.authorize(stream.caller.certificate, "peer");
      const asked = request as Parameters<PeerService["switchover"]>[0];
      return await service.switchover(asked, (progress) => stream.send({ progress }));
    };
    return {
      received: (request) =>
        void run(request).then((receipt) => {
          stream.send({ receipt });
          stream.end();
        }, (error) => stream.end(failureOf(error))),
      drained: () => {},
      closed: () => {},
    };
  });
  handlers.set("follow", followHandler(service));
}

function followHandler(service: PeerService): Handler {
  return (stream) => {
    const refuse = (error: unknown) => void setTimeout(() => stream.end(failureOf(error)), REFUSAL_DELAY_MS);
    try {
      const identity = service.authorize(stream.caller.certificate, "read");
      const events = service.follow(identity, {
        send: (message) => stream.send(asHeard(message)),
        fail: (error) => stream.end(failureOf(error)),
        refuse,
      });
      return {
        received: (message) => events.received(message as FollowerMessage),
        drained: () => events.drained(),
        closed: () => {
          events.closed();
          stream.end();
        },
      };
    } catch (error) {
      refuse(error);
      return { received: () => {}, drained: () => {}, closed: () => {} };
    }
  };
}

/** A handler of one request and one answer. */
export function unary(answer: (request: unknown, caller: Caller) => unknown): Handler {
  return (stream) => ({
    received: (request) =>
      void Promise.resolve().then(() => answer(request, stream.caller)).then(
        (response) => stream.send(response),
        (error) => stream.end(failureOf(error)),
      ),
    drained: () => {},
    closed: () => {},
  });
}

/** An error as it leaves a server. */
export function failureOf(error: unknown): Failure {
  const refusal = error instanceof Refusal ? error.kind : undefined;
  const kind = refusal === "state" ? "refused" : refusal === "disabled" ? "unimplemented" : "failed";
  return { kind, message: reasonOf(error) };
}

function errorOf({ kind, message }: Failure): PeerError {
  return new PeerError(kind, message);
}

/**
 * Everything that the peer may ask of this principal, whatever carries the calls. Refusals go out as they are; of any other failure the
 * peer's operator reads the reason.
 */
import { reasonOf } from "../../base/reason.ts";
import type { CertificateNames } from "../../domain/agents/identity.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { Progress, Receipt } from "../../domain/ha/switchover.ts";
import { isLog, logRequestOf } from "../../domain/proxy/log_request.ts";
import { terminalRequestOf } from "../../domain/proxy/terminal_request.ts";
import { parseTarget } from "../../domain/proxy/path.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import { admit, type ReplicationPolicy } from "../../domain/replication/admission.ts";
import type { FollowerMessage, KeyDigest, SentByLeader } from "../../domain/replication/messages.ts";
import type { Tracing } from "../ports/tracing.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { ForwardedCalls } from "../active/forwarded_calls.ts";
import { type Leadership, mustLead } from "../active/leadership.ts";
import type { PeerSays } from "../core/concerns.ts";
import type { PeerNeeds } from "../core/dependencies.ts";
import { ReplicaConnection } from "../active/replica_connection.ts";
import type {
  Asked,
  Fetched,
  Inventory,
  KeptState,
  PeerService,
  Repaired,
  RepairRequest,
  ReplicationRight,
  SwitchoverRequest,
} from "../ports/peer.ts";
import type { ForwardedReply, ForwardedRequest } from "../ports/forwarding.ts";
import type { LogSource } from "../ports/logs.ts";
import type { OpenTerminal, TerminalSource, TerminalUser } from "../ports/terminals.ts";
import type { AgentRequests } from "../ports/requests.ts";
import type { StreamedAnswer } from "../ports/resource_proxy.ts";
import type { ServedStream, StreamEvents } from "../ports/stream.ts";
import { fetched, holdings } from "./holdings.ts";
import type { KeptHere } from "./kept_here.ts";

/** Characters of a name that the peer tells. */
const MAX_CALLER = 200;

/** The parts that carry out the calls. */
export interface PeerServerParts extends Leadership {
  readonly policy: ReplicationPolicy;
  /** Hears what the peer says of its condition. */
  readonly peerSays: Pick<PeerSays, "heard">;
  readonly peerNeeds: Pick<PeerNeeds, "heard">;
  /** The peer just became ACTIVE: skips the current redial backoff. */
  redial(): void;
  /** This side's report of itself; with `examine` it examines its cluster first, also for the fields that the peer uses. */
  condition(examine: boolean, fields: readonly string[]): Promise<Condition>;
  repair(request: Omit<RepairRequest, "standing">): Promise<Repaired>;
  /** To the agents that are connected here. */
  readonly requests: AgentRequests;
  readonly logs: LogSource;
  /** The trace of a forwarded request goes on. */
  readonly tracing: Pick<Tracing, "within">;
  readonly terminals: TerminalSource;
  readonly switchover: {
    prove(expected: string): Promise<string>;
    prepare(active: Standing, who: string): Promise<number>;
    takeOver(active: Standing, epoch: number): Promise<void>;
    run(options: SwitchoverRequest, tell: (progress: Progress) => void): Promise<Receipt>;
  };
  readonly keptHere: Pick<KeptHere, "forActive" | "settled">;
}

export class PeerServer implements PeerService {
  constructor(private readonly parts: PeerServerParts) {}

  authorize(certificate: CertificateNames | undefined, right: ReplicationRight): string {
    const identity = admit(certificate, this.parts.policy);
    const problem = right === "peer" ? this.parts.voice.notPeer(identity) : "";
    if (problem !== "") throw new Refusal(problem, "forbidden");
    return identity;
  }

  async ask(
    { standing: peer, condition: theirs, examine }: Parameters<PeerService["ask"]>[0],
    identity: string,
  ): Promise<Asked> {
    const { redial, condition, standing, voice, peerSays, peerNeeds } = this.parts;
    if (voice.says(identity, peer)) {
      peerSays.heard(theirs);
      peerNeeds.heard(theirs);
      if (peer?.state === "active") redial();
    }
    const said = await condition(examine, theirs?.fieldsInUse ?? []);
    const { seen } = this.parts.peerStore;
    return { standing: standing(), condition: said, nowMs: Date.now(), ...(seen ? { seen } : {}) };
  }

  follow(identity: string, stream: ServedStream<SentByLeader>): StreamEvents<FollowerMessage> {
    return new ReplicaConnection(this.parts, identity, stream);
  }

  async log(agent: string, url: string, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer> {
    const target = parseTarget(url);
    const request = target && isLog(target) ? logRequestOf(target) : undefined;
    if (!request) return failure(400, "the request names no pod in a namespace");
    return await this.parts.logs.open(agent, request, signal);
  }

  async terminal(agent: string, url: string, user: TerminalUser): Promise<HttpAnswer | OpenTerminal> {
    const request = terminalRequestOf(url);
    if ("problem" in request) return failure(400, `cannot open a terminal: ${request.problem}`);
    const caller = `${user.caller.slice(0, MAX_CALLER)} at the peer`;
    return await this.parts.terminals.open(agent, request, { ...user, caller });
  }

  forward(stream: ServedStream<ForwardedReply>): StreamEvents<ForwardedRequest> {
    return new ForwardedCalls(
      this.parts.requests,
      stream,
      mustLead(this.parts, "unavailable"),
      this.parts.tracing,
    );
  }

  inventory(groups: readonly string[]): Inventory {
    return { standing: this.parts.standing(), ...holdings(this.parts.index, groups) };
  }

  fetch(keys: readonly Key[], salt: Uint8Array | undefined): Fetched[] {
    return fetched(this.parts.index, keys, salt);
  }

  repair(request: Omit<RepairRequest, "standing">): Promise<Repaired> {
    return refusing("failed", () => this.parts.repair(request));
  }

  prove(expected: string): Promise<string> {
    return refusing("failed", () => this.parts.switchover.prove(expected));
  }

  prepare({ standing, who }: { standing: Standing | undefined; who: string }): Promise<number> {
    return refusing("failed", () => this.parts.switchover.prepare(known(standing), who));
  }

  takeOver({ standing, epoch }: { standing: Standing | undefined; epoch: number }): Promise<Standing> {
    return refusing("failed", async () => {
      await this.parts.switchover.takeOver(known(standing), epoch);
      return this.parts.standing();
    });
  }

  switchover(request: SwitchoverRequest, tell: (progress: Progress) => void): Promise<Receipt> {
    return refusing("failed", () => this.parts.switchover.run(request, tell));
  }

  kept(keys: readonly Key[]): Promise<KeptState[]> {
    return refusing("failed", () => this.parts.keptHere.forActive(keys));
  }

  settled(states: readonly KeyDigest[], who: string): Promise<void> {
    return refusing("failed", () => this.parts.keptHere.settled(states, who));
  }
}

/** Acts; any failure that is not a refusal becomes one of this kind, with the reason. */
async function refusing<T>(kind: Refusal["kind"], act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(reasonOf(error), kind);
  }
}

function known(standing: Standing | undefined): Standing {
  if (standing) return standing;
  throw new Refusal("the principal that asks does not say what it is", "request");
}

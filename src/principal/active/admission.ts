/**
 * Letting agents in: which releases, in which mode, with which tokens, and only while this principal is ACTIVE. The wire's door decodes
 * and proves who calls; everything else is decided here.
 */
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Proof } from "../../domain/agents/identity.ts";
import { versionAccepted, type VersionPolicy } from "../../domain/agents/version.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import type { Counting } from "../core/counters.ts";
import type { AuthenticationRefusal } from "../core/metrics.ts";
import {
  type Admission,
  type Admitted,
  type AgentRequest,
  type AgentStream,
  type AttachedStream,
  type Caller,
  NotAdmitted,
} from "../ports/agents.ts";
import type { Subject, Tokens } from "../ports/tokens.ts";
import type { AgentRefusals } from "./agent_refusals.ts";
import type { Fleet } from "./fleet.ts";
import type { Roster } from "./roster.ts";
import { registerAgent, type SelfRegistrationParts } from "./self_registration.ts";

const RENEW_REFRESH_BELOW_S = 600;
/** Of what an agent says of itself, so much is logged. */
const MAX_TEXT = 64;
/** A DNS-1123 label. */
const MAX_NAMESPACE = 63;

/** The part of the principal that admission needs. */
export interface AdmissionParts extends SelfRegistrationParts {
  readonly settings: SelfRegistrationParts["settings"] & { readonly agentVersionPolicy: VersionPolicy };
  readonly version: string;
  readonly log: Log;
  readonly counters: Counting;
  readonly roster: Pick<Roster, "authenticated" | "modeOf">;
  readonly refusals: Pick<AgentRefusals, "refused" | "settled">;
  model(): Pick<Model, "state">;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
  fleet(): Pick<Fleet, "attach" | "process">;
}

const failed = () => new NotAdmitted("unauthenticated", "authentication failed");
const invalid = () => new NotAdmitted("unauthenticated", "invalid authentication data");

export class AgentAdmission implements Admission {
  /** @param tokens undefined: no signing key is configured, and no agent is admitted */
  constructor(private readonly parts: AdmissionParts, private readonly tokens: Tokens | undefined) {}

  async authenticate(
    { mode: wanted, version, namespace }: AgentRequest,
    prove: () => Promise<Proof> | Proof,
  ): Promise<Admitted> {
    const { parts } = this;
    const mode = this.#modeOf(wanted);
    const proof = await prove();
    if ("problem" in proof) {
      parts.log.warn("agent refused", { event: "agent_refused", reason: proof.problem });
      this.#count("credentials");
      throw failed();
    }
    const { identity: clientID, credential } = proof;
    this.#checkVersion(version, clientID);
    this.#mustKeepMode(clientID, mode);
    const tokens = this.#signing();
    await this.#register(clientID, tokens);
    parts.roster.authenticated(clientID, mode, namespace.slice(0, MAX_NAMESPACE));
    return {
      accessToken: await tokens.access({ clientID, mode, credential }),
      refreshToken: await tokens.refresh({ clientID, mode, credential }),
      version: parts.version,
      principalNamespace: parts.settings.namespace,
    };
  }

  async refresh(
    token: string,
    holds: (subject: Subject) => Proof,
  ): Promise<Pick<Admitted, "accessToken" | "refreshToken">> {
    const tokens = this.#signing();
    const { subject, leftS } = await tokens.verifyRefresh(token).catch(() => {
      this.#count("token");
      throw failed();
    });
    const proof = holds(subject);
    if ("problem" in proof) {
      this.parts.log.warn("refresh of an agent's token refused", {
        event: "agent_refused",
        agent: subject.clientID,
        reason: proof.problem,
      });
      this.#count("credentials");
      throw failed();
    }
    this.#mustKeepMode(subject.clientID, subject.mode);
    return {
      accessToken: await tokens.access(subject),
      refreshToken: leftS < RENEW_REFRESH_BELOW_S ? await tokens.refresh(subject) : "",
    };
  }

  async caller(token: string, holds: (subject: Subject) => Proof): Promise<Caller> {
    const { log, settings } = this.parts;
    const subject = await this.tokens?.verifyAccess(token).catch(() => undefined);
    // The principal itself is no agent.
    if (!subject || subject.clientID === settings.namespace) {
      this.#count("token");
      throw invalid();
    }
    const proof = holds(subject);
    if ("problem" in proof) {
      log.warn("agent's call refused", {
        event: "agent_refused",
        agent: subject.clientID,
        reason: proof.problem,
      });
      this.#count("credentials");
      throw invalid();
    }
    this.#mustKeepMode(subject.clientID, subject.mode);
    this.#mustServe();
    return { name: subject.clientID, mode: subject.mode };
  }

  async attach(caller: Caller, stream: AgentStream): Promise<AttachedStream> {
    const attached = await this.parts.fleet().attach(caller, stream);
    if (attached) return attached;
    throw new NotAdmitted("unavailable", "not accepting connections");
  }

  async process(caller: Caller, event: AgentEvent): Promise<boolean> {
    this.#mustServe();
    return await this.parts.fleet().process(caller, event);
  }

  #modeOf(wanted: string): Mode {
    if (wanted === "managed" || wanted === "autonomous") return wanted;
    this.#count("mode");
    throw new NotAdmitted(
      "unknown mode",
      `unknown or missing operation mode: '${wanted.slice(0, MAX_TEXT)}'`,
    );
  }

  #count(reason: AuthenticationRefusal): void {
    this.parts.counters.increment("agentsRefused", { reason });
  }

  #mustServe(): void {
    const { parts } = this;
    if (parts.activeScope()) return;
    const { state } = parts.model();
    parts.counters.increment("connectionsRejected", { state, reason: "not accepting connections" });
    throw new NotAdmitted("unavailable", `not accepting connections in state ${state}`);
  }

  #signing(): Tokens {
    if (this.tokens) return this.tokens;
    this.#count("no signing key");
    throw new NotAdmitted(
      "unavailable",
      "no signing key is configured on the principal: set --jwt-key, or --insecure-jwt-generate to try out",
    );
  }

  /** An agent stays in the mode that it came in first: a managed one that says it is autonomous would own what operators wrote. */
  #mustKeepMode(agent: string, mode: Mode): void {
    const { roster, refusals } = this.parts;
    const pinned = roster.modeOf(agent);
    if (pinned === undefined || pinned === mode) return refusals.settled(agent, "mode");
    const reason =
      `it is ${pinned} and says that it is ${mode}; to let it: stop it, then ha forget-agent ${agent} here`;
    refusals.refused(agent, "mode", reason);
    this.#count("mode");
    throw new NotAdmitted("unauthenticated", `agent "${agent}" is refused: ${reason}`);
  }

  #checkVersion(theirs: string, agent: string): void {
    if (theirs === "") {
      this.#count("version");
      throw new NotAdmitted("version missing", "agent version is required");
    }
    const { version: ours, log, settings: { agentVersionPolicy: policy } } = this.parts;
    if (versionAccepted(theirs, ours, policy)) return;
    log.warn("agent refused: its version", {
      event: "agent_refused",
      agent,
      version: theirs.slice(0, MAX_TEXT),
      ours,
      policy,
    });
    this.#count("version");
    throw new NotAdmitted("version mismatch", "version mismatch");
  }

  async #register(agent: string, tokens: Tokens): Promise<void> {
    try {
      await registerAgent(this.parts, agent, tokens);
    } catch (error) {
      const reason = reasonOf(error);
      this.parts.log.warn("agent refused: its cluster could not be registered", {
        event: "agent_refused",
        agent,
        reason,
      });
      this.#count("registration");
      throw failed();
    }
  }
}

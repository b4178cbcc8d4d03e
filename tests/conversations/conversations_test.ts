/**
 * Compares the messages between an agent and a principal, story by story, with the transcripts beside this file, so that no
 * message is lost, added or reordered unnoticed. The agent is the simulated one (src/simagents); the Go programs took no
 * part. UPDATE_CONVERSATIONS=1 rewrites the transcripts. Each step has one line a resource or message, in order: `<` to the
 * agent, `>` to the principal; `ack` is `processed`.
 */
import { assertEquals } from "@std/assert";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { application, project, repository, serving, startAgent } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

const HERE = new URL(".", import.meta.url).pathname;
const decoder = new TextDecoder();

/** Records what passes, and cuts it into steps. */
class Recorder {
  #lines = new Map<string, string[]>();
  readonly #labels = new Map<string, string>();
  readonly transcript: string[] = [];

  take(way: "to agent" | "to principal", event: AgentEvent): void {
    const arrow = way === "to agent" ? "<" : ">";
    const id = event.extensions.eventid ?? "";
    if (event.target === "eventProcessed") {
      this.#line(this.#labels.get(id) ?? "?").push(`${arrow}ack`);
      return;
    }
    const body = JSON.parse(decoder.decode(event.payload));
    const what = event.target === "resourceResync"
      ? `${event.target} ${event.type}${body.kind ? ` ${body.kind} ${body.namespace}/${body.name}` : ""}`
      : `${event.target} ${body.metadata.namespace}/${body.metadata.name}`;
    this.#labels.set(id, what);
    const signed = event.extensions.principaluid ? " signed" : "";
    const type = event.target === "resourceResync" ? "sent" : event.type;
    this.#line(what).push(`${arrow}${type}${signed}`);
  }

  step(name: string): void {
    const lines = [...this.#lines].map(([what, passed]) => `  ${what}: ${passed.join(" ")}`).sort();
    if (this.transcript.length > 0 || lines.length > 0) this.transcript.push(...lines);
    this.transcript.push(name);
    this.#lines = new Map();
  }

  end(): string {
    this.step("end");
    return this.transcript.join("\n") + "\n";
  }

  #line(what: string): string[] {
    const passed = this.#lines.get(what) ?? [];
    this.#lines.set(what, passed);
    return passed;
  }
}

/** The parts that a story may use. */
class Play {
  readonly recorder = new Recorder();
  agent!: SimAgent;

  constructor(readonly workshop: Workshop, public principal: Running) {}

  async connect(mode: "managed" | "autonomous", objects: ApiObject[] = []): Promise<void> {
    this.agent = await startAgent(this.workshop, () => `127.0.0.1:${this.principal.ports.grpc}`, {
      name: "edge-1",
      mode,
      namespace: "argocd",
      prepare: (agent) => {
        agent.onWire = (way, event) => this.recorder.take(way, event);
        for (const object of objects) agent.cluster.put(object.kind, object);
      },
    });
    await this.quiet();
  }

  async step(name: string, act: () => Promise<unknown> | unknown): Promise<void> {
    this.recorder.step(name);
    await act();
    await this.quiet();
  }

  put(object: ApiObject) {
    return this.principal.core.store.write({ op: "put", object });
  }

  async change(key: string, change: (object: ApiObject) => ApiObject) {
    const found = await this.principal.core.store.get(key);
    if (!found) throw new Error(`${key} is not there`);
    return await this.put(change(found));
  }

  drop(key: string) {
    return this.principal.core.store.write({ op: "delete", key });
  }

  /** Waits until nothing has been on the way for a moment: the index has what was written, and both sides are done. */
  async quiet(): Promise<void> {
    let still = 0;
    await until(
      () => {
        const host = this.principal.core.fleet.agent("edge-1");
        const done = this.agent.connected && this.agent.outbox.pending === 0 && host?.session.pending === 0 &&
          host.inbox.waiting === 0;
        still = done ? still + 1 : 0;
        return still > 15;
      },
      10_000,
      () => `something is on the way: ${JSON.stringify(this.agent.seen)}`,
      10,
    );
  }
}

const A = "Application/edge-1/a";

const STORIES: Record<string, (play: Play) => Promise<void>> = {
  async "managed-agent"(play) {
    for (
      const object of [project("shop", "edge-*"), repository("repo", "shop"), application("edge-1", "a")]
    ) {
      await play.put(object);
    }
    await play.step("first connect", () => play.connect("managed"));
    await play.step("create", () => play.put(application("edge-1", "b")));
    await play.step(
      "update",
      () => play.change(A, (found) => ({ ...found, spec: { ...found["spec"] as object, project: "shop" } })),
    );
    await play.step("operation", () => play.change(A, (found) => ({ ...found, operation: { sync: {} } })));
    await play.step(
      "terminate",
      () =>
        play.change(
          A,
          (found) => ({
            ...found,
            status: {
              operationState: { phase: "Terminating", operation: {}, startedAt: "2026-01-02T03:04:05Z" },
            },
          }),
        ),
    );
    await play.step("delete", () => play.drop("Application/edge-1/b"));
    await play.step("the agent restarts", () => play.agent.restart());
  },
  async "autonomous-agent"(play) {
    const own = application("argocd", "a");
    await play.step("first connect", () => play.connect("autonomous", [own, project("own", "*")]));
    await play.step(
      "update by the agent",
      () => play.agent.apply("Application", application("argocd", "a", { x: 1 })),
    );
    await play.step(
      "operation asked for here",
      () => play.change(A, (found) => ({ ...found, operation: { sync: {} } })),
    );
    await play.step(
      "changed here",
      () => play.change(A, (found) => ({ ...found, spec: { ...found["spec"] as object, changed: "here" } })),
    );
    await play.step("deleted here", () => play.drop(A));
    await play.step("deleted by the agent", () => play.agent.remove("Application", "a"));
    await play.step("the agent restarts", () => play.agent.restart());
  },
  async "principal-restart"(play) {
    await play.put(project("shop", "edge-*"));
    for (const name of ["a", "b"]) await play.put(application("edge-1", name));
    await play.connect("managed");
    await play.step("the principal restarts; b was deleted and c made meanwhile", async () => {
      const { settings } = play.principal;
      await play.agent.stop();
      await play.drop("Application/edge-1/b");
      await play.put(application("edge-1", "c"));
      await play.principal.stop();
      play.principal = await play.workshop.start(settings);
      await untilState(play.principal, "active");
      play.agent.start();
    });
  },
  async "failover"(play) {
    const { workshop } = play;
    for (const object of [project("shop", "edge-*"), application("edge-1", "a")]) await play.put(object);
    const flags = ["--insecure-jwt-generate"];
    const replica = await workshop.start(workshop.settings("replica", play.principal.ports.grpc, flags));
    await untilState(replica, "replicating");
    await play.connect("managed");
    await until(
      async () => !!(await replica.core.store.get(A))?.["status"],
      20_000,
      () => "not replicated",
      5,
    );
    await play.step("the active is gone, the replica promoted", async () => {
      const old = play.principal;
      play.principal = replica;
      await old.stop();
      await untilState(replica, "disconnected");
      await replica.operations.command("promote", false, "");
    });
  },
};

for (const [name, story] of Object.entries(STORIES)) {
  Deno.test(`conversation: ${name}`, LOOSE, () =>
    inWorkshop(async (workshop) => {
      // The guard would gather deletions this soon after a start; the transcripts show what passes without it.
      const principal = await serving(workshop, ["--ha-deletion-guard=off"]);
      const play = new Play(workshop, principal);
      await story(play);
      const transcript = play.recorder.end();
      const file = `${HERE}${name}.txt`;
      if (Deno.env.get("UPDATE_CONVERSATIONS")) Deno.writeTextFileSync(file, transcript);
      assertEquals(transcript, Deno.readTextFileSync(file));
    }));
}

/**
 * `terminalstreamapi.TerminalStreamService`: the calls over which agents bring the terminals that they were asked for. The first message
 * names the request. A call ends with OK: no other code tells an agent more, and two would make it leave. An agent cancels its call right
 * after its last message, and of a cancelled call nothing more is read; so a call is read from its first moment.
 */
import grpc from "@grpc/grpc-js";
import type { terminalstreamapi } from "../../../proto/gen.d.ts";
import type { TerminalInput } from "../../domain/proxy/terminal.ts";
import type { Caller } from "../../principal/ports/agents.ts";
import type { AgentTerminals, TerminalCall, TerminalReader } from "../../principal/ports/terminals.ts";
import { CANCELLED_MS, FIRST_MS, unwanted } from "./agent_call.ts";
import { paced } from "./authentication.ts";
import { failStream } from "./server.ts";
import { Status } from "./status.ts";

type Data = terminalstreamapi.TerminalStreamData;
type Call = grpc.ServerDuplexStream<Data, Data>;

/** After its end a call is over within this time. */
const END_MS = 10_000;

/** @param callerOf the agent that calls, by its token; rejects where there is none */
export function terminalStreamHandlers(
  terminals: AgentTerminals,
  callerOf: (call: Call) => Promise<Caller>,
): grpc.UntypedServiceImplementation {
  return {
    StreamTerminal: (call: Call) => void new WireTerminal(terminals, paced(callerOf(call)), call),
  };
}

/** Messages that are held until the agent is known. */
const MAX_HELD = 2;

class WireTerminal implements TerminalCall {
  #request = "";
  #reader: TerminalReader | undefined;
  #over = false;
  #held: Data[] | undefined = [];
  #agent = "";
  #timer: ReturnType<typeof setTimeout>;

  constructor(
    private readonly terminals: AgentTerminals,
    caller: Promise<Caller>,
    private readonly call: Call,
  ) {
    this.#timer = setTimeout(() => this.#fail(grpc.status.INVALID_ARGUMENT, "no request id"), FIRST_MS);
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => this.#ends(caller, false));
    call.on("data", (message: Data) => this.#take(message));
    call.on("drain", () => this.#reader?.drained());
    call.on("end", () => this.#ends(caller, true));
    caller.then(({ name }) => this.#known(name), (error) => this.#refuse(unwanted(error)));
  }

  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }

  send(input: TerminalInput): boolean {
    return this.#over || this.call.write({ request_uuid: this.#request, ...wireOf(input) });
  }

  end(why: string): void {
    if (this.#over) return;
    this.#over = true;
    if (why !== "") this.call.write({ request_uuid: this.#request, error: why });
    this.call.end();
    // What the agent has sent meanwhile is read away.
    this.call.resume();
    this.#timer = setTimeout(() => failStream(this.call, new Status(grpc.status.CANCELLED, why)), END_MS);
  }

  #take(message: Data): void {
    if (this.#over) return;
    if (this.#held) {
      this.#held.push(message);
      if (this.#held.length >= MAX_HELD) this.call.pause();
      return;
    }
    const { request_uuid: request = "", data = new Uint8Array(), eof = false, error = "" } = message;
    if (!this.#reader) {
      clearTimeout(this.#timer);
      this.#request = request;
      this.#reader = this.terminals.bring(this.#agent, request, this);
      if (!this.#reader) return this.#fail(grpc.status.NOT_FOUND, "unknown request id");
    }
    if (request !== this.#request) return this.#fail(grpc.status.INVALID_ARGUMENT, "another request id");
    this.#reader.frame({ data, eof, error });
  }

  /** The agent is known, and what it has said so far counts. */
  #known(agent: string): void {
    this.#agent = agent;
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) this.#take(message);
    if (held.length >= MAX_HELD && !this.#over) this.call.resume();
  }

  #fail(code: grpc.status, why: string): void {
    this.#refuse(new Status(code, why));
  }

  #refuse(status: Status): void {
    if (this.#over) return;
    this.#broke();
    failStream(this.call, status);
  }

  /** Nothing more comes over the call. @param open whether it waits for an answer; a cancelled one seems to for a moment */
  #ends(caller: Promise<Caller>, open: boolean): void {
    setTimeout(async () => {
      await caller.catch(() => {});
      clearTimeout(this.#timer);
      if (this.#over) return;
      this.#broke();
      if (open) this.call.end();
    }, CANCELLED_MS);
  }

  #broke(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#reader?.broke();
  }
}

function wireOf(input: TerminalInput): Data {
  switch (input.do) {
    case "type":
      return { data: input.data, stream_type: "stdin" };
    case "resize":
      return { resize: true, cols: input.cols, rows: input.rows };
    case "close":
      return { eof: true };
  }
}

/**
 * `logstreamapi.LogStreamService`: the calls with which agents bring the logs that they were asked for. The first message names the
 * request. Of the codes, a Go agent comes again on all but NOT_FOUND and CANCELLED, for half a minute.
 */
import grpc from "@grpc/grpc-js";
import type { principal } from "../../../proto/gen.d.ts";
import type { Caller } from "../../principal/ports/agents.ts";
import type { AgentLogs, LogCall, LogReader } from "../../principal/ports/logs.ts";
import { CANCELLED_MS, FIRST_MS, unwanted } from "./agent_call.ts";
import { paced } from "./authentication.ts";
import { Status, toStatus } from "./status.ts";

type Data = principal.apis.logstreamapi.LogStreamData;
type Response = principal.apis.logstreamapi.LogStreamResponse;
type Call = grpc.ServerReadableStream<Data, Response>;
type Answer = grpc.sendUnaryData<Response>;

/**
 * @param callerOf the agent that calls, by its token; rejects where there is none
 * @param firstMs a call has named its request within this time
 */
export function logStreamHandlers(
  logs: AgentLogs,
  callerOf: (call: Call) => Promise<Caller>,
  firstMs = FIRST_MS,
): grpc.UntypedServiceImplementation {
  return {
    StreamLogs: (call: Call, answer: Answer) => {
      paced(callerOf(call)).then(
        ({ name }) => new WireLog({ logs, agent: name, firstMs }, call, answer),
        (error) => answer(toStatus(unwanted(error))),
      );
    },
  };
}

class WireLog implements LogCall {
  #request = "";
  #reader: LogReader | undefined;
  #over = false;
  readonly #first: ReturnType<typeof setTimeout>;

  constructor(
    private readonly parts: { logs: AgentLogs; agent: string; firstMs: number },
    private readonly call: Call,
    private readonly answer: Answer,
  ) {
    const { firstMs } = parts;
    const late = `no request id within ${firstMs / 1_000} s`;
    this.#first = setTimeout(() => this.#fail(grpc.status.INVALID_ARGUMENT, late), firstMs);
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => this.#closed());
    call.on("data", (message: Data) => this.#take(message));
    call.on("end", () => setTimeout(() => this.#ended(), CANCELLED_MS));
  }

  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }

  end(how: "done" | "unwanted" | "broken", why: string): void {
    if (how === "done") this.#answer(null, { request_uuid: this.#request, status: 200 });
    else this.#fail(how === "broken" ? grpc.status.INTERNAL : grpc.status.CANCELLED, why);
  }

  #take({ request_uuid: request = "", data = new Uint8Array(), eof = false, error = "" }: Data): void {
    if (this.#over) return;
    if (!this.#reader) {
      clearTimeout(this.#first);
      this.#request = request;
      this.#reader = this.parts.logs.bring(this.parts.agent, request, this);
      if (!this.#reader) return this.#fail(grpc.status.NOT_FOUND, "unknown request id");
    }
    if (request !== this.#request) return this.#fail(grpc.status.INVALID_ARGUMENT, "another request id");
    this.#reader.frame({ data, eof, error });
  }

  #ended(): void {
    if (this.#over) return;
    if (this.#reader) this.#reader.ended();
    else this.#fail(grpc.status.INVALID_ARGUMENT, "no request id");
  }

  #fail(code: grpc.status, why: string): void {
    this.#answer(toStatus(new Status(code, why)));
    // What the agent has sent meanwhile is read away.
    this.call.resume();
  }

  #answer(...answer: Parameters<Answer>): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#first);
    this.answer(...answer);
  }

  #closed(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#first);
    this.#reader?.broke();
  }
}

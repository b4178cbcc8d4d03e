/** A terminal on its way between the ACTIVE and a user of the replica's region: one call each, both ways. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { onAbort } from "../../base/abort.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import {
  TERMINAL_ENDS,
  type TerminalEnd,
  type TerminalInput,
  type TerminalOutput,
  terminalQueue,
} from "../../domain/proxy/terminal.ts";
import type { PeerService } from "../../principal/ports/peer.ts";
import type { OpenTerminal, TerminalUser } from "../../principal/ports/terminals.ts";
import { failStream } from "./server.ts";
import { answerOf, answerWith, goneOf, readableOf, writeTo } from "./web_streams.ts";

type Input = argocdagentha.v1.TerminalInput;
type Part = argocdagentha.v1.TerminalPart;
export type TerminalLinkCall = grpc.ServerDuplexStream<Input, Part>;
export type TerminalLinkClient = grpc.ClientDuplexStream<Input, Part>;

/** Serves the ACTIVE's side. */
export async function serveTerminal(
  call: TerminalLinkCall,
  service: Pick<PeerService, "terminal">,
): Promise<void> {
  const gone = goneOf(call);
  const first = Promise.withResolvers<Input>();
  const without = () => first.reject(new Refusal("the call named no terminal", "request"));
  first.promise.catch(() => {});
  onAbort(gone, without);
  const input = readableOf<Input, TerminalInput>(call, {
    part: (message) => {
      first.resolve(message);
      return inputFromWire(message);
    },
    strategy: terminalQueue(),
    failed: (error) => error as Error,
    cancel: () => call.resume(),
    over: without,
  });
  try {
    const { agent = "", url = "", caller = "" } = await first.promise;
    const answer = await service.terminal(agent, url, { caller, input, signal: gone });
    await answerWith(call, "output" in answer ? answer.output : answer, outputToWire, gone);
  } catch (error) {
    if (!gone.aborted) failStream(call, error);
  }
}

/** Opens it on the replica's side. @throws what `translated` makes of an error @throws the reason of the user's signal */
export async function openTerminal(
  call: TerminalLinkClient,
  { agent, url, caller, input, signal }: { agent: string; url: string } & TerminalUser,
  translated: (error: unknown) => Error,
): Promise<HttpAnswer | OpenTerminal> {
  call.write({ agent, url, caller });
  const over = new AbortController();
  for (const event of ["end", "error", "close"]) call.on(event, () => over.abort());
  const typed = writeTo(call, input, inputToWire, AbortSignal.any([over.signal, signal]));
  typed.then(() => call.end(), () => call.cancel());
  const asked = { part: outputFromWire, strategy: terminalQueue<TerminalOutput>(), translated };
  const answer = await answerOf<Part, TerminalOutput>(call, asked, signal);
  return answer instanceof ReadableStream ? { output: answer } : answer;
}

function inputToWire(input: TerminalInput): Input {
  switch (input.do) {
    case "type":
      return { typed: input.data };
    case "resize":
      return { cols: input.cols, rows: input.rows };
    case "close":
      return { closed: true };
  }
}

function inputFromWire({ typed, cols = 0, rows = 0, closed }: Input): TerminalInput | undefined {
  if (typed?.length) return { do: "type", data: typed };
  if (cols > 0 && rows > 0) return { do: "resize", cols, rows };
  return closed ? { do: "close" } : undefined;
}

function outputToWire(output: TerminalOutput): Part {
  if ("show" in output) return { shown: output.show };
  const { how, message, exitCode = 0 } = output.end;
  return { end: { how, message, exitCode } };
}

function outputFromWire({ shown, end }: Part): TerminalOutput | undefined {
  if (end) return { end: endFromWire(end) };
  return shown?.length ? { show: shown } : undefined;
}

function endFromWire({ how = "", message = "", exitCode = 0 }: argocdagentha.v1.TerminalEnd): TerminalEnd {
  const known = TERMINAL_ENDS.find((one) => one === how) ?? "failed";
  return { how: known, message, ...(exitCode > 0 ? { exitCode } : {}) };
}

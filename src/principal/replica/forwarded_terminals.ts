/** Terminals for the users of a side that is not ACTIVE: each goes to the peer over a call of its own, and ends with it. */
import { reasonOf } from "../../base/reason.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import { type TerminalOutput, terminalQueue } from "../../domain/proxy/terminal.ts";
import { type TerminalRequest, terminalUrl } from "../../domain/proxy/terminal_request.ts";
import type { OpenTerminal, TerminalSource, TerminalUser } from "../ports/terminals.ts";
import { overPeer, type PeerWay } from "./peer_way.ts";

export class ForwardedTerminals implements TerminalSource {
  constructor(private readonly parts: PeerWay) {}

  async open(
    agent: string,
    request: TerminalRequest,
    user: TerminalUser,
  ): Promise<HttpAnswer | OpenTerminal> {
    const about = `cannot open a terminal at agent "${agent}"`;
    return await overPeer(this.parts, { about, what: "terminals" }, async (connection, over) => {
      const answer = await connection.terminal(agent, terminalUrl(request), user);
      return "output" in answer ? { output: ending(answer.output, over) } : answer;
    });
  }
}

/** A terminal that ends with a line which says why, where its way breaks. */
function ending(output: ReadableStream<TerminalOutput>, over: () => void): ReadableStream<TerminalOutput> {
  const reader = output.getReader();
  let ended = false;
  return new ReadableStream<TerminalOutput>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) {
          ended ||= "end" in value;
          return controller.enqueue(value);
        }
        if (!ended) throw new Error("the peer has ended it");
      } catch (error) {
        const message = `the terminal ends here: ${reasonOf(error)}; open it again`;
        controller.enqueue({ show: new TextEncoder().encode(`\r\n${message}\r\n`) });
        controller.enqueue({ end: { how: "lost", message } });
      }
      controller.close();
      over();
    },
    async cancel(reason) {
      await reader.cancel(reason).catch(() => {});
      over();
    },
  }, { ...terminalQueue<TerminalOutput>(), highWaterMark: 0 });
}

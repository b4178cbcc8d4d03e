/**
 * The shells of a simulated agent's pods. It brings a terminal as a Go agent does: an empty message first, then what the shell says, and at
 * its end one message that says how. The shell echoes what is typed and knows a few commands.
 */
import { parseJson } from "../base/json.ts";
import type { AgentEvent } from "../domain/events/cloudevent.ts";
import type { TerminalMessage, TerminalUpload } from "../adapters/grpc/agent_client.ts";

/** A request for a terminal as its payload has it. */
interface RequestedTerminal {
  uuid: string;
  podName: string;
  command: string[];
}

/** Opens a call; undefined: there is no connection now. */
export type OpenCall = (
  received: (message: TerminalMessage | undefined) => void,
) => TerminalUpload | undefined;

const PROMPT = "$ ";
const FRAME_BYTES = 32 * 1024;
/** Keys of their own, and those between. */
// deno-lint-ignore no-control-regex
const KEYS = /[^\r\n\x04]+|[\r\n\x04]/g;
const END_OF_INPUT = "\x04";
const encoder = new TextEncoder();

export class SimTerminals {
  /** Requests that came. */
  asked = 0;
  /** The request of the last one. */
  lastId = "";
  /** Programs that its pods have. */
  readonly programs = new Set(["sh"]);
  readonly #shells = new Set<Shell>();

  /** Terminals that are open. */
  get open(): number {
    return this.#shells.size;
  }

  /** Breaks the call of each. */
  cut(): void {
    for (const { upload } of this.#shells) upload?.cancel();
  }

  /** Begins to bring a terminal. */
  answer(event: AgentEvent, openCall: OpenCall): void {
    const request = parseJson(new TextDecoder().decode(event.payload)) as unknown as RequestedTerminal;
    this.asked++;
    this.lastId = request.uuid;
    const shell = new Shell(request);
    const upload = openCall((message) => void shell.received(message));
    if (!upload) return;
    this.#shells.add(shell);
    void upload.over.then(() => {
      shell.cancelled();
      this.#shells.delete(shell);
    });
    void shell.start(upload, this.programs);
  }
}

class Shell {
  upload: TerminalUpload | undefined;
  readonly #decoder = new TextDecoder();
  #line = "";
  #size = "24 80";
  #over = false;
  #deaf = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(private readonly request: RequestedTerminal) {}

  async start(upload: TerminalUpload, programs: ReadonlySet<string>): Promise<void> {
    this.upload = upload;
    const { uuid, command: [program = ""] } = this.request;
    await upload.send({ request_uuid: uuid });
    if (programs.has(program)) return await this.#say(PROMPT);
    await this.#end(`exec: "${program}": executable file not found in $PATH`);
  }

  /** Takes a message of the principal; undefined: nothing more comes. One after another. */
  received(message: TerminalMessage | undefined): Promise<void> {
    if (message?.error) this.cancelled();
    this.#turn = this.#turn.then(() => this.#take(message));
    return this.#turn;
  }

  async #take(message: TerminalMessage | undefined): Promise<void> {
    if (this.#over || this.#deaf) return;
    const { data, stream_type, resize, rows, cols, eof } = message ?? { eof: true };
    if (eof) return await this.#end("");
    if (resize) this.#size = `${rows} ${cols}`;
    if (stream_type !== "stdin" || !data?.length) return;
    const keys = this.#decoder.decode(data, { stream: true });
    for (const part of keys.match(KEYS) ?? []) await this.#typed(part);
  }

  async #typed(part: string): Promise<void> {
    if (this.#over || this.#deaf) return;
    if (part === END_OF_INPUT) return await this.#end("");
    if (part !== "\r" && part !== "\n") {
      this.#line += part;
      return await this.#say(part);
    }
    const [command = "", ...words] = this.#line.split(" ");
    this.#line = "";
    await this.#say("\r\n");
    await this.#run(command, words);
    if (!this.#over) await this.#say(PROMPT);
  }

  async #run(command: string, words: string[]): Promise<void> {
    const said: Record<string, string> = {
      ...{ "": "", echo: words.join(" "), pwd: "/var/www/html", whoami: "root", ls: "index.html" },
      ...{ hostname: this.request.podName, stty: this.#size },
    };
    if (command === "exit") {
      const code = Number(words[0] ?? 0);
      return await this.#end(code === 0 ? "" : `command terminated with exit code ${code}`);
    }
    if (command === "deaf") {
      this.#deaf = true;
      return this.upload?.pause();
    }
    if (command === "flood") return await this.#flood(Number(words[0]));
    const text = Object.hasOwn(said, command) ? said[command] : `sh: ${command}: not found`;
    if (text !== "") await this.#say(`${text}\r\n`);
  }

  async #flood(bytes: number): Promise<void> {
    for (let left = bytes; left > 0 && !this.#over; left -= FRAME_BYTES) {
      await this.#send({ data: new Uint8Array(Math.min(left, FRAME_BYTES)).fill(46), stream_type: "stdout" });
    }
    await this.#say("\r\nend of flood\r\n");
  }

  async #say(text: string): Promise<void> {
    await this.#send({ data: encoder.encode(text), stream_type: "stdout" });
  }

  /** @param error empty: it ended well */
  async #end(error: string): Promise<void> {
    if (this.#over) return;
    await this.#send(error === "" ? { eof: true } : { error });
    this.#over = true;
    this.upload?.end();
  }

  /** Whatever it is doing. */
  cancelled(): void {
    if (this.#over) return;
    this.#over = true;
    this.upload?.end();
  }

  async #send(message: TerminalMessage): Promise<void> {
    if (!this.#over) await this.upload?.send({ request_uuid: this.request.uuid, ...message });
  }
}

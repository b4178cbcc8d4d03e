/** The log of a pod as a person follows it: it is opened once more where it ends, from the last line that came. */
import { delay } from "@std/async/delay";
import type { TlsMaterial } from "../adapters/tls/files.ts";
import { StreamedRead } from "../simagents/proxy_client.ts";
import { workloadLine } from "../simagents/workload.ts";
import type { Sightings } from "./demo_sightings.ts";

const PAUSE_MS = 20;

export class FollowedLog {
  /** Lines that did not come although later ones did. */
  missing = 0;
  #last = { at: "", n: 0 };
  #read: StreamedRead | undefined;
  #open = true;
  readonly #following: Promise<void>;

  constructor(
    private readonly port: number,
    private readonly tls: TlsMaterial,
    private readonly path: string,
    private readonly seen: Sightings,
  ) {
    this.#following = this.#follow();
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#read?.leave();
    await this.#following;
  }

  async #follow(): Promise<void> {
    while (this.#open) {
      const { at } = this.#last;
      const query = new URLSearchParams({
        follow: "true",
        timestamps: "true",
        ...(at ? { sinceTime: at } : {}),
      });
      let rest = "";
      this.#read = new StreamedRead(this.port, this.tls, `${this.path}?${query}`, (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) this.#take(line);
      });
      await this.#read.ended;
      if (this.#open) await delay(PAUSE_MS);
    }
  }

  /** A line that came before comes again where the log was opened once more; why it ended is a line, too. */
  #take(text: string): void {
    const line = workloadLine(text);
    if (!line || line.n <= this.#last.n) return;
    this.missing += line.n - this.#last.n - 1;
    this.#last = line;
    this.seen.add();
  }
}

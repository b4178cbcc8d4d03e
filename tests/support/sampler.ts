/** Samples both `/healthz` all the time. */
import { delay } from "@std/async/delay";
import type { PrincipalProcess } from "../../src/cli/processes.ts";

const SAMPLE_MS = 5;

/**
 * Samples both sides from when it is made. The two answers of one sample are not of one moment: a hand-over that falls between them shows
 * as two ACTIVE, or none. It was one where the sample before had one side alone and the next, asked for after both answers, has the
 * other alone; anything else is two ACTIVE at a time.
 */
export class Sampler {
  samples = 0;
  two = 0;
  none = 0;
  /** Samples with two that lie between one side alone and the other alone. */
  crossed = 0;
  #stopped = false;
  readonly #running: Promise<void>;

  constructor(private readonly sides: readonly Pick<PrincipalProcess, "healthz">[]) {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    let alone: number | undefined;
    let open = 0;
    while (!this.#stopped) {
      const answers = await Promise.all(this.sides.map((side) => side.healthz()));
      const [one, ...others] = answers.flatMap(({ code }, side) => code === 200 ? [side] : []);
      this.samples++;
      if (one === undefined) this.none++;
      if (others.length > 0) open++;
      else {
        const moved = one !== undefined && alone !== undefined && one !== alone;
        if (open === 1 && moved) this.crossed++;
        else this.two += open;
        open = 0;
        alone = one;
      }
      await delay(SAMPLE_MS);
    }
    this.two += open;
  }
}

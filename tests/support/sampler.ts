/** What both `/healthz` say, sampled all the time. */
import { delay } from "@std/async/delay";
import type { PrincipalProcess } from "../../src/cli/processes.ts";

const SAMPLE_MS = 5;

/**
 * Samples both sides from when it is made. The two answers of one sample are not of one moment: a hand-over that falls between them shows
 * as two ACTIVE, or none. Two are ACTIVE at a time where the next sample, asked for after both answers, says so again.
 */
export class Sampler {
  samples = 0;
  two = 0;
  none = 0;
  /** Samples with two that the next one did not confirm. */
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
    let both = false;
    while (!this.#stopped) {
      const answers = await Promise.all(this.sides.map((side) => side.healthz()));
      const active = answers.filter(({ code }) => code === 200).length;
      this.samples++;
      if (active === 2 && both) this.two++;
      else if (active === 2) this.crossed++;
      if (active === 0) this.none++;
      both = active === 2;
      await delay(SAMPLE_MS);
    }
  }
}

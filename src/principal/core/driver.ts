/**
 * The driver runs the state machine: one input at a time, each effect in order, results back as inputs. Nothing
 * else changes the model.
 */
import type { Command, Effect, Input, Model } from "../../domain/ha/state.ts";
import { step } from "../../domain/ha/machine.ts";
import { Refusal } from "../../domain/ha/refusal.ts";

/** Performs one effect. A returned promise is awaited before the next effect and the next input. */
export type EffectRunner = (effect: Exclude<Effect, { type: "reply" }>) => Promise<void> | void;

/** The driver's report of a step that changed the model. */
export type Observer = (before: Model, after: Model, rowName: string, refused: boolean) => void;

export class Driver {
  #model: Model;
  readonly #inputs: Input[] = [];
  #running = false;
  #nextId = 1;
  readonly #waiting = new Map<number, { resolve(model: Model): void; reject(error: Refusal): void }>();

  constructor(model: Model, private readonly run: EffectRunner, private readonly observe: Observer) {
    this.#model = model;
  }

  get model(): Model {
    return this.#model;
  }

  /** Feeds an input; returns at once. */
  input(input: Input): void {
    this.#inputs.push(input);
    if (!this.#running) this.#drain();
  }

  /** A command: resolves with the model when it is done. @throws Refusal */
  command(command: Command): Promise<Model> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.input({ ...command, id });
    });
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let input = this.#inputs.shift(); input; input = this.#inputs.shift()) {
      const before = this.#model;
      const { model, effects, row } = step(before, input, Date.now());
      this.#model = model;
      if (row) this.observe(before, model, row.name, row.refuse === true);
      for (const effect of effects) {
        if (effect.type === "reply") this.#reply(effect.id, effect.error);
        else await this.run(effect);
      }
    }
    this.#running = false;
  }

  #reply(id: number, error: string): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === "") waiting?.resolve(this.#model);
    else waiting?.reject(new Refusal(error));
  }
}

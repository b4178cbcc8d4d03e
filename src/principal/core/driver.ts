/**
 * The driver runs the state machine: one input at a time, each effect in order, results back as inputs. Nothing
 * else changes the model.
 */
import { Emitter, type Subscribe } from "../../base/until.ts";
import type { Command, Effect, Input, Model, Procedure } from "../../domain/ha/state.ts";
import { step } from "../../domain/ha/machine.ts";
import { Refusal } from "../../domain/ha/refusal.ts";

/** Performs one effect. A returned promise is awaited before the next effect and the next input. */
export type EffectRunner = (effect: Exclude<Effect, { type: "reply" }>) => Promise<void> | void;

/** The listeners of steps. */
export interface Observer {
  /** A row took an input. */
  stepped(before: Model, after: Model, rowName: string, refused: boolean): void;
  /** No row did: a fault, of which nothing came. */
  unhandled(model: Model, input: Input): void;
}

export class Driver {
  #model: Model;
  readonly #inputs: Input[] = [];
  #running = false;
  #ended: Refusal | undefined;
  #nextId = 1;
  readonly #changes = new Emitter();
  readonly #waiting = new Map<number, { resolve(model: Model): void; reject(error: Refusal): void }>();

  constructor(model: Model, private readonly run: EffectRunner, private readonly observer: Observer) {
    this.#model = model;
  }

  get model(): Model {
    return this.#model;
  }

  /** Calls a listener after every change of the model until the returned function is called. */
  get onChange(): Subscribe {
    return this.#changes.subscribe;
  }

  /** Feeds an input; returns at once. */
  input(input: Input): void {
    if (this.#ended) return;
    this.#inputs.push(input);
    if (!this.#running) this.#drain();
  }

  /** A command: resolves with the model when it is done. @throws Refusal */
  command(command: Command): Promise<Model> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.input({ ...command, id });
    });
  }

  /** Begins an operator's procedure; resolves with how to end it. @throws Refusal where the table refuses it */
  async begin(procedure: Procedure, problem = ""): Promise<() => void> {
    await this.command({ type: "begin", procedure, problem });
    return () => this.input({ type: "ended", procedure });
  }

  /** Takes no more inputs, and refuses the commands that wait for an answer. */
  end(reason: Refusal): void {
    this.#ended ??= reason;
    this.#inputs.length = 0;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  async #drain(): Promise<void> {
    this.#running = true;
    for (let input = this.#inputs.shift(); input; input = this.#inputs.shift()) {
      const before = this.#model;
      const { model, effects, row } = step(before, input, Date.now());
      this.#model = model;
      if (!row) this.observer.unhandled(model, input);
      else this.observer.stepped(before, model, row.name, row.refuse === true);
      if (model !== before) this.#changes.notify();
      for (const effect of effects) {
        if (this.#ended) return;
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

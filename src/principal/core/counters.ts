/**
 * The counters since the start of this process. The table of metrics names each one, and `/metrics` prints from there.
 * Labels come from outside (an agent may be named `constructor`), so rows are kept in maps.
 */
import type { Rows } from "../ports/telemetry.ts";
import type { Counted } from "./metric.ts";
import type { METRICS } from "./metrics.ts";

type Table = typeof METRICS;

/** The counters: the counted metrics of the table. */
export type CounterName = { [N in keyof Table]: Table[N] extends Counted<string> ? N : never }[keyof Table];

type LabelsOf<N extends CounterName> = Table[N] extends Counted<infer L> ? L : never;
type Labelled<N extends CounterName> = [LabelsOf<N>] extends [never] ? []
  : [labels: Record<LabelsOf<N>, string>];

export class Counters {
  readonly #rows = new Map<string, Map<string, Rows[number]>>();
  /** How long the last durable record of role and epoch took, in ms; 0: there was none in this process. */
  recordMs = 0;

  /** One more, of these labels where the metric has any. */
  increment<N extends CounterName>(name: N, ...[labels]: Labelled<N>): void {
    this.#add(name, labels ?? {}, 1);
  }

  /** So many more, of these labels where the metric has any. */
  add<N extends CounterName>(name: N, n: number, ...[labels]: Labelled<N>): void {
    this.#add(name, labels ?? {}, n);
  }

  /** The sum of a counter over all labels. */
  total(name: CounterName): number {
    return this.rows(name).reduce((sum, [, n]) => sum + n, 0);
  }

  /** A counter's rows. */
  rows(name: CounterName): Rows {
    return [...this.#rows.get(name)?.values() ?? []];
  }

  #add(name: CounterName, labels: Record<string, string>, n: number): void {
    const rows = this.#rows.get(name) ?? new Map<string, Rows[number]>();
    this.#rows.set(name, rows);
    const id = JSON.stringify(Object.values(labels));
    const row = rows.get(id);
    if (row) row[1] += n;
    else rows.set(id, [labels, n]);
  }
}

/** The counting side of the counters. */
export type Counting = Pick<Counters, "increment" | "add">;

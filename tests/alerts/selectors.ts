/** The metrics of PromQL expressions. */

/** A metric, with the labels that an expression selects by. */
export interface Selector {
  name: string;
  labels: [name: string, value: string][];
}

/** Metrics, with their matchers. */
export function selectorsOf(expr: string): Selector[] {
  return [...expr.matchAll(/\b((?:argocd|principal|process)_\w+)(?:\{([^}]*)\})?/g)].map((
    [, name = "", labels = ""],
  ) => ({
    name,
    labels: [...labels.matchAll(/(\w+)!?=~?"([^"]*)"/g)].map(([, label = "", value = ""]) => [label, value]),
  }));
}

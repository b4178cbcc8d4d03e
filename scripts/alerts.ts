/** The alerts of deploy/alerts as objects of the Prometheus operator: one source, printed by `deno task docs`. */
import { parse, stringify } from "yaml";

const deploy = new URL("../deploy/", import.meta.url).pathname;

/** Each file of rules, and the PrometheusRule that is printed from it. */
export const RULES = ["pair", "side"].map((name) => ({
  name,
  source: `${deploy}alerts/${name}.yaml`,
  printed: `${deploy}components/${name === "side" ? "alerts" : "alerts-pair"}/prometheusrule.yaml`,
}));

/** The PrometheusRule of a file of rules. @throws Error where it is no YAML */
export function prometheusRule(name: string, rules: string): string {
  const rule = {
    apiVersion: "monitoring.coreos.com/v1",
    kind: "PrometheusRule",
    metadata: { name: `argocd-agent-ha-${name}`, namespace: "argocd" },
    spec: parse(rules),
  };
  const head = `# Printed by \`deno task docs\` from ../../alerts/${name}.yaml: change that.\n`;
  return head + stringify(rule, { lineWidth: 120 });
}

/** Prints every PrometheusRule. */
export function printRules(): void {
  for (const { name, source, printed } of RULES) {
    Deno.writeTextFileSync(printed, prometheusRule(name, Deno.readTextFileSync(source)));
  }
}

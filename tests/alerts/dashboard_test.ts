/** The Grafana dashboard of deploy/: it shows metrics that there are, by labels that they have, and everything that alerts look at. */
import { assert, assertEquals } from "@std/assert";
import { parse, stringify } from "yaml";
import { RULES } from "../../scripts/alerts.ts";
import { PROCESS } from "../../src/adapters/http/metrics.ts";
import { METRICS } from "../../src/principal/core/metrics.ts";
import { ON_CLUSTER } from "../kube/cluster.ts";
import { kustomize } from "../kube/kustomize.ts";
import { selectorsOf } from "./selectors.ts";

const folder = new URL("../../deploy/components/dashboard", import.meta.url).pathname;
const PROMTOOL = Deno.env.get("PROMTOOL_BINARY");
/** Labels of the one who scrapes. */
const OF_TARGETS = ["instance"];

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string; legendFormat: string; refId: string }[];
}

const dashboard = JSON.parse(Deno.readTextFileSync(`${folder}/argocd-agent-ha.json`)) as {
  uid: string;
  panels: Panel[];
  annotations: { list: { expr: string }[] };
  templating: { list: { name: string; type: string; query: unknown }[] };
};
const metrics = new Map([...PROCESS, ...Object.values(METRICS)].map(({ name, labels }) => [name, labels]));
const targets = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map((target) => ({ title, ...target }))
);
const expressions = [
  ...targets.map(({ expr }) => expr),
  ...dashboard.annotations.list.map(({ expr }) => expr),
];

Deno.test("each panel of the dashboard shows metrics that there are, by labels that they have", () => {
  assert(targets.length > 40, `${targets.length} expressions`);
  for (const { title, expr, legendFormat } of targets) {
    const selectors = selectorsOf(expr);
    assert(selectors.length > 0, `${title}: ${expr}`);
    for (const { name, labels } of selectors) {
      const known = metrics.get(name);
      assert(known, `${title}: there is no metric ${name}`);
      const grouped = /\bby \(([^)]*)\)/.exec(expr)?.[1]?.split(", ") ?? [];
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = ""]) => label);
      for (const label of [...labels.map(([label]) => label), ...grouped, ...named]) {
        assert([...known, ...OF_TARGETS].includes(label), `${title}: ${name} has no label ${label}`);
      }
      assert(
        labels.some(([label, value]) => label === "instance" && value === "$instance"),
        `${title}: ${expr}`,
      );
    }
  }
});

Deno.test("the dashboard shows every metric of the alerts", () => {
  const shown = new Set(expressions.flatMap(selectorsOf).map(({ name }) => name));
  for (const { source } of RULES) {
    const { groups } = parse(Deno.readTextFileSync(source)) as { groups: { rules: { expr: string }[] }[] };
    for (const { expr } of groups.flatMap(({ rules }) => rules)) {
      for (const { name } of selectorsOf(expr)) assert(shown.has(name), `${name} is on no panel`);
    }
  }
});

Deno.test("the panels of the dashboard have names of their own, fit the grid and do not overlap", () => {
  const { panels } = dashboard;
  assertEquals(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const { title, type, gridPos: { x, y, w, h } } of panels) {
    assert(title !== "" && type !== "" && x + w <= 24, title);
    for (let i = x; i < x + w; i++) {
      for (let j = y; j < y + h; j++) {
        assert(!taken.has(`${i} ${j}`), `${title} overlaps another panel`);
        taken.add(`${i} ${j}`);
      }
    }
  }
  const variables = dashboard.templating.list.map(({ name }) => name);
  assertEquals(variables, ["datasource", "instance"]);
});

Deno.test({
  name: "promtool takes every expression of the dashboard",
  ignore: PROMTOOL === undefined,
  fn: async () => {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-dashboard-" });
    try {
      const rules = expressions.map((expr, n) => ({
        record: `panel_${n}`,
        expr: expr.replaceAll("$instance", ".*").replaceAll("$__rate_interval", "5m"),
      }));
      Deno.writeTextFileSync(`${dir}/rules.yaml`, stringify({ groups: [{ name: "dashboard", rules }] }));
      const { success, stderr } = await new Deno.Command(PROMTOOL as string, {
        args: ["check", "rules", `${dir}/rules.yaml`],
      }).output();
      assert(success, new TextDecoder().decode(stderr));
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "the component of deploy/ with the dashboard can be built",
  ...ON_CLUSTER,
  fn: async () => {
    const [map, ...rest] = await kustomize(folder);
    assert(map && rest.length === 0);
    const { name, namespace, labels } = map["metadata"] as Record<string, unknown>;
    assertEquals([name, namespace, labels], ["argocd-agent-ha-dashboard", "argocd", {
      grafana_dashboard: "1",
    }]);
    const text = (map["data"] as Record<string, string>)["argocd-agent-ha.json"] ?? "";
    assertEquals(JSON.parse(text).uid, dashboard.uid);
  },
});

/** The alerts of deploy/alerts: what fires when, that each names metrics that there are, and a section of the runbook. */
import { assert, assertEquals } from "@std/assert";
import { parse, stringify } from "yaml";
import { prometheusRule, RULES } from "../../scripts/alerts.ts";
import { ON_CLUSTER } from "../kube/cluster.ts";
import { kustomize } from "../kube/kustomize.ts";
import { application } from "../support/agents.ts";
import { inWorkshop, LOOSE, untilEqual, untilState } from "../support/principals.ts";
import { selectorsOf } from "./selectors.ts";
import { STORIES } from "./stories.ts";
import { freePorts } from "../../src/cli/processes.ts";

const docs = new URL("../../docs/", import.meta.url).pathname;
const PROMTOOL = Deno.env.get("PROMTOOL_BINARY");
const WITH_PROMTOOL = { ignore: PROMTOOL === undefined };

interface Alert {
  alert: string;
  expr: string;
  for: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}

const alertsIn = (path: string): Alert[] =>
  (parse(Deno.readTextFileSync(path)) as { groups: { rules: Alert[] }[] }).groups.flatMap(({ rules }) =>
    rules
  );
const ALERTS = RULES.flatMap(({ source }) => alertsIn(source));

/** Runs promtool. @throws Error with its words */
async function promtool(...args: string[]): Promise<void> {
  const { success, stdout, stderr } = await new Deno.Command(PROMTOOL as string, { args }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  assert(success, `promtool ${args[0]}: ${text(stdout)}${text(stderr)}`);
}

/** A story as a test of promtool. */
function testOf({ series, minutes, firing }: typeof STORIES[number]) {
  return {
    interval: "1m",
    input_series: Object.entries(series).map(([series, values]) => ({ series, values })),
    promql_expr_test: [{
      expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
      eval_time: `${minutes}m`,
      exp_samples: Object.entries(firing).map(([alert, value]) => ({
        labels: `{alertname="${alert}"}`,
        value,
      })),
    }],
  };
}

/** Plays stories with promtool. */
async function play(stories: readonly typeof STORIES[number][]): Promise<void> {
  const folder = Deno.makeTempDirSync({ prefix: "aaha-alerts-" });
  try {
    for (const { name, source } of RULES) {
      const tests = stories.filter(({ rules }) => rules === name).map(testOf);
      const file = `${folder}/${name}.test.yaml`;
      Deno.writeTextFileSync(file, stringify({ rule_files: [source], evaluation_interval: "1m", tests }));
      if (tests.length > 0) await promtool("test", "rules", file);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("the PrometheusRules are what `deno task docs` prints of deploy/alerts", () => {
  for (const { name, source, printed } of RULES) {
    const wanted = prometheusRule(name, Deno.readTextFileSync(source));
    assertEquals(Deno.readTextFileSync(printed), wanted, "run: deno task docs");
  }
});

Deno.test({
  name: "the components of deploy/ with alerts can be built",
  ...ON_CLUSTER,
  fn: async () => {
    for (const { name, printed } of RULES) {
      const built = await kustomize(printed.replace(/\/[^/]+$/, ""));
      const named = { kind: "PrometheusRule", name: `argocd-agent-ha-${name}`, namespace: "argocd" };
      assertEquals(built.map(({ kind, metadata }) => ({ kind, ...metadata as object })), [named]);
    }
  },
});

Deno.test("each alert has its words, and a section in the runbook; the runbook has no other", () => {
  const sections = [...Deno.readTextFileSync(`${docs}runbook.md`).matchAll(/^## (ArgocdAgentHA\w+)$/gm)]
    .map(([, name = ""]) => name);
  assertEquals(sections, ALERTS.map(({ alert }) => alert));
  for (const { alert, labels, annotations } of ALERTS) {
    assert(["warning", "critical"].includes(labels.severity), alert);
    assert(annotations.summary !== "" && annotations.description !== "", alert);
    assertEquals(annotations.runbook_url.split("/").at(-1), `runbook.md#${alert.toLowerCase()}`);
  }
});

Deno.test("each alert fires in a story, and is silent in another", () => {
  for (const { name, source } of RULES) {
    for (const { alert } of alertsIn(source)) {
      const fires = STORIES.filter(({ firing }) => firing[alert]);
      assert(fires.length > 0, `no story has ${alert}`);
      assert(STORIES.some(({ rules, firing }) => rules === name && !firing[alert]), alert);
    }
  }
});

Deno.test({
  name: "promtool takes the rules, and each story fires exactly its alerts",
  ...WITH_PROMTOOL,
  fn: async () => {
    await promtool("check", "rules", ...RULES.map(({ source }) => source));
    await play(STORIES);
  },
});

Deno.test({
  name: "a story with other alerts than it says fails",
  ...WITH_PROMTOOL,
  fn: async () => {
    const one = STORIES.find(({ name }) => name === "two are ACTIVE");
    assert(one);
    const failed = await play([{ ...one, firing: {} }]).then(() => "", (error: Error) => error.message);
    assert(failed.includes("ArgocdAgentHATwoActive"), failed);
  },
});

Deno.test({
  name: "each metric that an alert names, with its labels, is in /metrics of a running pair",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [first = 0, second = 0] = await freePorts(2);
      const settings = (name: "primary" | "replica", peer: number, metricsPort: number) => ({
        ...workshop.settings(name, peer, ["--insecure-jwt-generate"]),
        metricsPort,
      });
      const primary = await workshop.served(settings("primary", 1, first));
      const replica = await workshop.start(settings("replica", primary.ports.grpc, second));
      await untilState(primary, "active");
      await primary.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilState(replica, "replicating");
      await untilEqual(primary, replica);
      await replica.core.readiness.look();
      const texts = await Promise.all(
        [primary, replica].map(({ ports }) =>
          fetch(`http://127.0.0.1:${ports.metrics}/metrics`).then((response) => response.text())
        ),
      );
      for (const { alert, expr } of ALERTS) {
        const selectors = selectorsOf(expr);
        assert(selectors.length > 0, alert);
        for (const { name, labels } of selectors) {
          const lines = texts.flatMap((text) =>
            text.split("\n").filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
          );
          assert(lines.length > 0, `${alert}: no ${name} in /metrics`);
          for (const [label, value] of labels) {
            assert(
              lines.some((line) => line.includes(`${label}="${value}"`)),
              `${alert}: ${name} ${label}="${value}"`,
            );
          }
        }
      }
    }),
});

/** No pattern from outside stops the principal: what agents' names, certificates and headers are matched with runs in linear time. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseMtlsRule } from "../../src/domain/agents/identity.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { application, project, serving, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

/** A name that a backtracking matcher tries for longer than anybody waits. */
const PATIENT = `${"a".repeat(61)}-1`;
const EVIL = [
  "/^([a-z0-9-]+)+!$/",
  "/^(a|a|[a-z-])*!$/",
  "/^(.*a){60}!$/",
  "+(+([a-z0-9-]))!",
  "!(!(a))*(*(a))!",
];

function guarded(name: string, destinations: unknown[], sourceNamespaces: string[]): ApiObject {
  const one = project(name, "*");
  return { ...one, spec: { ...one["spec"] as object, destinations, sourceNamespaces } };
}

Deno.test(
  "an AppProject with patterns that backtrack for ever elsewhere stops nobody",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      const patient = await startAgent(workshop, running, { name: PATIENT });
      const other = await startAgent(workshop, running, { name: "edge-1" });
      let number = 0;
      for (const pattern of EVIL) {
        for (
          const [destinations, sources] of [
            [[{ name: pattern }], ["*"]],
            [[{ name: "*" }, { name: `!${pattern}` }], [pattern]],
            [[{ server: `https://proxy:9090?agentName=${encodeURIComponent(pattern)}` }], ["*"]],
            [[{ name: "*" }], [pattern]],
          ] as [unknown[], string[]][]
        ) {
          await store.write({ op: "put", object: guarded(`evil-${number++}`, destinations, sources) });
        }
      }
      await store.write({ op: "put", object: guarded("good", [{ name: "*" }], ["*"]) });
      for (const agent of [patient, other]) {
        await store.write({ op: "put", object: application(agent.name, "after") });
        await untilHolds(agent, "AppProject", ["good"]);
        await untilHolds(agent, "Application", ["after"]);
      }
    }),
);

Deno.test(
  "a project of more patterns than its bound is for no agent, and one of as many names is for them",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      const names = (suffix: string) =>
        Array.from({ length: 5_000 }, (_, n) => ({ name: `cluster-${n}${suffix}` }));
      await store.write({ op: "put", object: guarded("globs", [...names("*"), { name: "edge-1" }], ["*"]) });
      await store.write({ op: "put", object: guarded("names", [...names(""), { name: "edge-1" }], ["*"]) });
      await untilHolds(agent, "AppProject", ["names"]);
      await store.write({ op: "put", object: guarded("globs", [{ name: "edge-*" }], ["*"]) });
      await until(
        () => agent.cluster.list("AppProject").length === 2,
        20_000,
        () => "the shorter project does not come",
        5,
      );
    }),
);

Deno.test("rules of --auth and flags that would backtrack are either linear or refused at the start", () => {
  const settings = (...flags: string[]) => {
    try {
      return parseSettings(
        ["-n", "argocd", "--store=sqlite:x", "--insecure-plaintext", ...flags],
        () => undefined,
      ).settings;
    } catch (error) {
      return (error as Error).message;
    }
  };
  assertEquals(parseMtlsRule("CN=(([a-z0-9-]+)+)!").pattern.firstGroup(`CN=${PATIENT}`), undefined);
  const { auth, scope } = settings(
    "--auth=header:x-name:^(([a-z0-9-]+)+)!$",
    "--allowed-namespaces=/^([a-z-]+)+!$/",
  ) as ReturnType<
    typeof parseSettings
  >["settings"];
  assertEquals(auth.method === "header" && auth.pattern.test("a".repeat(16_384)), false);
  assertEquals(scope.allowedNamespaces.map((pattern) => pattern.matches(PATIENT)), [false]);
  for (
    const [flags, words] of [
      [["--auth=header:x:(?=a)(b)"], "(?="],
      [["--auth=header:x:(a)\\1"], "\\1"],
      [["--auth=userpass:/x", "--allowed-namespaces=/(a{1000}){1000}/"], "{1000}"],
      [["--auth=userpass:/x", `--allowed-namespaces=/${"a|".repeat(400)}b/`], "more than 512 characters"],
    ] as [string[], string][]
  ) {
    assertStringIncludes(String(settings(...flags)), words);
  }
});

/** Dependencies that the other side lacks: named by preflight and status on both sides, and refused by a switchover before anything changes. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { exampleObjects } from "../../src/cli/examples.ts";
import type { Running } from "../../src/serve.ts";
import { runCli } from "../support/processes.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const LABEL = "argocd.argoproj.io/secret-type";
const STAYS = { "argocd-agent.argoproj-labs.io/ignore-sync": "true" };

const put = (running: Running, ...objects: ApiObject[]) =>
  Promise.all(objects.map((object) => running.core.store.write({ op: "put", object })));

function secret(name: string, type: string, fields: Record<string, string>, labels = {}): ApiObject {
  const data = Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, btoa(value)]));
  const metadata = { name, namespace: "argocd", labels: { [LABEL]: type, ...labels } };
  return { apiVersion: "v1", kind: "Secret", metadata, data };
}

const cluster = (name: string, address: string, labels = {}) =>
  secret(name, "cluster", { name, server: `https://${address}` }, { region: "eu", ...labels });

const argo = (kind: string, name: string, spec: unknown): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind,
  metadata: { name, namespace: "argocd" },
  spec,
});

const fleet = argo("ApplicationSet", "fleet", {
  generators: [{
    matrix: {
      generators: [
        { clusters: { selector: { matchLabels: { region: "eu" } } } },
        { git: { repoURL: "https://git.example.com/a.git", revision: "main" } },
      ],
    },
  }],
  template: { metadata: { name: "{{name}}" }, spec: { project: "default", destination: {} } },
});

async function pair(workshop: Workshop, objects: ApiObject[], flags: string[] = []) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.served(workshop.settings("primary", toReplica.port, flags));
  await untilState(primary, "active");
  await put(primary, ...objects);
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  return { primary, replica };
}

const ha = (side: Running, ...args: string[]) =>
  runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`]);

Deno.test(
  "a hand-made cluster Secret that a generator selects replicates by default; one that stays is named on both sides and forbids a switchover",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const own = cluster("east", "proxy-a.example", STAYS);
      const { primary, replica } = await pair(workshop, [fleet, cluster("west", "west.example"), own]);
      assert(await replica.core.store.get("Secret/argocd/west"), "it replicates by default");
      assertEquals(await replica.core.store.get("Secret/argocd/east"), undefined);
      const named =
        'Secret/argocd/east: ApplicationSet/argocd/fleet generates from it as cluster "east"; not replicated: ' +
        "label argocd-agent.argoproj-labs.io/ignore-sync";
      for (const [side, where] of [[primary, "peer"], [replica, "here"]] as const) {
        const { code, stdout } = await ha(side, "preflight", "-o", "json");
        const { checks } = JSON.parse(stdout) as { checks: { name: string; ok: boolean; found: string }[] };
        const found = checks.find(({ name }) => name === `dependencies ${where}`);
        assertEquals([code, found?.ok], [1, false]);
        assertStringIncludes(found?.found ?? "", named);
        assertStringIncludes((await ha(side, "status")).stdout, named);
        const dry = await ha(side, "switchover", "--dry-run");
        assertEquals(dry.code, 1);
        assertStringIncludes(dry.stderr, `lacks what resources here name: ${named}`);
      }
      assertEquals(primary.core.model().state, "active");
      await put(replica, cluster("east", "proxy-b.example", STAYS));
      await until(() => replica.core.peerNeeds.lacking.length === 0, 20_000, () => "it is lacking still");
      assertEquals((await ha(replica, "switchover", "--yes")).code, 0);
      const [before, after] = await Promise.all(
        [primary, replica].map(({ core }) => core.store.get("Secret/argocd/east")),
      );
      assertEquals(
        atob((before?.["data"] as Record<string, string>)["server"] ?? ""),
        "https://proxy-a.example",
      );
      assertEquals(
        atob((after?.["data"] as Record<string, string>)["server"] ?? ""),
        "https://proxy-b.example",
      );
    }),
);

Deno.test(
  "with self-registered the hand-made Secret stays, and preflight says by which flag",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const flags = ["--ha-replicate-cluster-secrets=self-registered"];
      const { primary, replica } = await pair(workshop, [fleet, cluster("west", "west.example")], flags);
      assertEquals(await replica.core.store.get("Secret/argocd/west"), undefined);
      const { stdout } = await ha(primary, "preflight");
      assertStringIncludes(stdout, "Secret/argocd/west: ApplicationSet/argocd/fleet generates from it");
      assertStringIncludes(stdout, "not replicated: --ha-replicate-cluster-secrets=self-registered");
    }),
);

Deno.test(
  "credentials for pushing replicate; Applications of Argo CD's own cluster do not, and that is said",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const root = argo("Application", "root", { project: "default", destination: { name: "in-cluster" } });
      const writers = ["repository-write", "repo-write-creds"].map((type) =>
        secret(type, type, { url: "https://git" })
      );
      const { primary, replica } = await pair(workshop, [root, ...writers, ...exampleObjects()]);
      for (const { metadata } of writers) {
        assert(
          await replica.core.store.get(`Secret/argocd/${metadata.name}`),
          `${metadata.name} is not copied`,
        );
      }
      assertEquals(await replica.core.store.get("Application/argocd/root"), undefined);
      const said = "1 Application of Argo CD's own cluster is not replicated";
      const { stdout } = await ha(primary, "preflight");
      assertStringIncludes(
        stdout,
        `${said} (--ha-replicate-in-cluster-applications): Application/argocd/root`,
      );
      assertStringIncludes((await ha(primary, "status")).stdout, said);
      assert(!(await ha(primary, "explain")).stdout.includes(said), "it is nothing to do");
    }),
);

Deno.test(
  "what a leader does not replicate, or a copy never had, is not deleted on a replica: it stays, is listed, and is no difference",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const toPrimary = new Proxy(0);
      workshop.onClose(() => toPrimary.close());
      const narrow = ["--ha-replicate-cluster-secrets=self-registered"];
      const early = await workshop.served(workshop.settings("primary", 1, narrow));
      toPrimary.targetPort = early.ports.grpc;
      await untilState(early, "active");
      await put(early, cluster("west", "west-a.example"));
      const replica = await workshop.start(workshop.settings("replica", toPrimary.port));
      await untilState(replica, "replicating");
      await put(replica, cluster("west", "west-b.example"), cluster("own", "own-b.example"));
      const foreign = (...keys: string[]) =>
        until(
          () => [...replica.core.foreign.keys].sort().join() === keys.join(),
          20_000,
          () => `foreign are ${replica.core.foreign.keys}, not ${keys}`,
        );
      await foreign("Secret/argocd/own", "Secret/argocd/west");
      await untilEqual(early, replica);
      const addressOf = async (name: string) => {
        const found = await replica.core.store.get(`Secret/argocd/${name}`);
        return atob((found?.["data"] as Record<string, string> | undefined)?.["server"] ?? "");
      };
      assertEquals([await addressOf("west"), await addressOf("own")], [
        "https://west-b.example",
        "https://own-b.example",
      ]);

      await early.stop();
      const primary = await workshop.served(workshop.settings("primary", 1));
      toPrimary.targetPort = primary.ports.grpc;
      toPrimary.cut();
      await until(async () => await addressOf("west") === "https://west-a.example", 20_000, () =>
        "the leader's is not taken");
      await foreign("Secret/argocd/own");
      await untilEqual(primary, replica);
      assertEquals(await addressOf("own"), "https://own-b.example");
      const { losses: kept } = await replica.operations.losses();
      assertEquals(
        kept.map(({ key }) =>
          key
        ).sort(),
        ["Secret/argocd/own", "Secret/argocd/west"],
      );
    }),
);

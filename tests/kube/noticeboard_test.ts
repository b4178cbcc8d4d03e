/** A principal's state on its Deployment, on a real API server: Events of transitions and concerns, and conditions. */
import { assert, assertEquals } from "@std/assert";
import { parseSettings } from "../../src/config/settings.ts";
import { isRecord } from "../../src/domain/resources/object.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, until, untilState } from "../support/principals.ts";
import { Cluster, ON_CLUSTER } from "./cluster.ts";
import { definitionSets } from "./crds.ts";

const NAME = "argocd-agent-principal";
const DEPLOYMENT = "/apis/apps/v1/namespaces/argocd/deployments";

function deployment() {
  const labels = { app: NAME };
  const containers = [{ name: "principal", image: "none" }];
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: NAME, namespace: "argocd" },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
  };
}

interface Told {
  type: string;
  reason: string;
  message: string;
}

Deno.test({
  name: "the Deployment of a principal tells of its transitions and concerns, and shows whether it is ACTIVE",
  ...ON_CLUSTER,
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitionSets()[0]?.[1] ?? []);
      workshop.onClose(() => cluster.stop());
      await cluster.namespace("argocd");
      assertEquals((await cluster.request("POST", DEPLOYMENT, deployment())).code, 201);
      // As its controller reports: this stays beside our conditions.
      const kept = { type: "Available", status: "True", reason: "MinimumReplicasAvailable", message: "" };
      const status = { status: { replicas: 1, conditions: [kept] } };
      const contentType = "application/merge-patch+json";
      assertEquals(
        (await cluster.request("PATCH", `${DEPLOYMENT}/${NAME}/status`, status, { contentType })).code,
        200,
      );
      const kubeconfig = await cluster.kubeconfigFile();
      const { settings: { store } } = parseSettings([
        ...["--namespace=argocd", "--auth=mtls:CN=([^,]+)", `--kubeconfig=${kubeconfig}`],
        ...["--tls-cert=a", "--tls-key=b", "--root-ca-path=c"],
      ], () => undefined);
      const own = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const running = await workshop.start({ ...own, store, haDeployment: NAME });
      await untilState(running, "active", 30_000);

      const events = async (): Promise<Told[]> => {
        const selector = `fieldSelector=involvedObject.kind=Deployment,involvedObject.name=${NAME}`;
        const { body } = await cluster.request("GET", `/api/v1/namespaces/argocd/events?${selector}`);
        return body["items"] as Told[];
      };
      const untilTold = (type: string, reason: string) =>
        until(
          async () => (await events()).some((event) => event.type === type && event.reason === reason),
          40_000,
          () => `no event ${type} ${reason}\n${workshop.logs.slice(-20).join("\n")}`,
          100,
        );
      const conditions = async () => {
        const { body } = await cluster.request("GET", `${DEPLOYMENT}/${NAME}`);
        assert(isRecord(body["status"]));
        const all = body["status"]["conditions"] as { type: string; status: string }[];
        return Object.fromEntries(all.map(({ type, status }) => [type, status]));
      };
      const untilShown = (wanted: string) =>
        until(
          async () => (await conditions())["HAActive"] === wanted,
          40_000,
          () => `HAActive is not ${wanted}`,
          100,
        );

      await untilTold("Normal", "Active");
      await untilShown("True");
      assertEquals(await conditions(), { Available: "True", HAActive: "True", HAReady: "Unknown" });
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      await agent.stop();
      await startAgent(workshop, running, { name: "edge-1", mode: "autonomous" });
      await untilTold("Warning", "AgentClaims");
      await running.operations.command("demote", true, "somebody");
      await untilTold("Normal", "Syncing");
      await untilShown("False");
      const [demoted] = (await events()).filter(({ reason }) => reason === "Syncing");
      assert(demoted?.message.startsWith("ACTIVE -> SYNCING: "), demoted?.message);
      await running.stop();
      await untilShown("Unknown");
      assertEquals((await conditions())["Available"], "True");
    }),
});

/**
 * docs/migrate.md on real API servers, with agents that hold what a Go principal gave them: a single Go principal becomes ours and goes
 * back, and a Go pair becomes ours side after side, and goes back. The Go side is played from its contract. No agent loses an object, and
 * none is made anew.
 */
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import { parseSettings } from "../../src/config/settings.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { SOURCE_UID } from "../../src/domain/resources/object.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import { SimAgent } from "../../src/simagents/agent.ts";
import { PRINCIPAL_UID } from "../../src/simagents/managed.ts";
import { Front } from "../../src/simagents/front.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, certificateFor, project, repository, untilHolds } from "../support/agents.ts";
import { GoPrimary, GoReplica } from "../support/go_peer.ts";
import { applyAll, type KubePair, withKubePair } from "../support/kube_pair.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { runCli } from "../support/processes.ts";

const NAMES = ["a", "b", "c", "d"];
const OWN = ["own-1", "own-2"];
const [[, definitions] = ["", []]] = definitionSets();

/** The objects of an operator of the Go principal. */
function operators(): ApiObject[] {
  return [
    project("shop", "edge-*"),
    repository("repo", "shop"),
    ...NAMES.map((name) => application("edge-1", name)),
  ];
}

/** The Go principal's copies of an autonomous agent's objects. */
function ofAutonomous(agent: SimAgent): ApiObject[] {
  return OWN.map((name) => {
    const { metadata: { uid } } = agent.cluster.get("Application", name) as ApiObject;
    const copy = application(agent.name, name);
    return { ...copy, metadata: { ...copy.metadata, annotations: { [SOURCE_UID]: String(uid) } } };
  });
}

/** Gives a managed agent what a Go principal with this cluster gave it, and an autonomous one its own. */
async function asGoLeft(
  cluster: Cluster,
  { managed, own }: Record<"managed" | "own", SimAgent>,
): Promise<void> {
  for (const name of OWN) own.cluster.put("Application", application("argocd", name));
  await applyAll(cluster, [...operators(), ...ofAutonomous(own)]);
  for (const object of await (await cluster.whole()).list()) {
    const { kind, metadata: { name, namespace, uid } } = object;
    const isGiven = namespace === "edge-1" || kind === "AppProject" || name === "repo";
    if (!isGiven) continue;
    const annotations = {
      [SOURCE_UID]: uid,
      ...(kind === "Application" ? { [PRINCIPAL_UID]: "of-the-go-principal" } : {}),
    };
    const { status: _, ...content } = object;
    managed.cluster.put(kind === "Secret" ? "Repository" : kind, {
      ...content,
      metadata: { name, labels: object.metadata.labels ?? {}, annotations },
    } as ApiObject);
  }
}

/** The Applications of agents, by UID on their own clusters. */
const held = (agents: SimAgent[]) =>
  agents.flatMap(({ name, cluster }) =>
    cluster.list("Application").map(({ metadata }) => `${name}/${metadata.name} ${metadata.uid}`)
  ).sort();

/** Waits until both agents are served and have nothing unacknowledged; they hold what they held, and nothing was made anew or deleted meanwhile. */
async function kept(agents: Record<"managed" | "own", SimAgent>, before: string[]): Promise<void> {
  const { managed, own } = agents;
  await until(
    () => managed.connected && own.connected && managed.outbox.pending + own.outbox.pending === 0,
    60_000,
    () => `agents are not served: ${managed.seen.ends.slice(-2)} ${own.seen.ends.slice(-2)}`,
  );
  assertEquals(held([managed, own]), before);
  untouched(agents);
}

function untouched(agents: Record<"managed" | "own", SimAgent>): void {
  for (const { cluster } of Object.values(agents)) assertEquals([cluster.recreated, cluster.deleted], [0, 0]);
}

/** Agents that have not dialled yet; they are stopped at the end. */
async function agentsAt(
  { dir, onClose }: { dir: string; onClose(cleanup: () => Promise<void>): void },
  address: () => string,
): Promise<Record<"managed" | "own", SimAgent>> {
  const agent = async (name: string, mode: "managed" | "autonomous") => {
    const made = new SimAgent({ name, mode, address, material: await certificateFor(`${dir}/pki`, name) });
    onClose(() => made.stop());
    return made;
  };
  return { managed: await agent("edge-1", "managed"), own: await agent("edge-2", "autonomous") };
}

/** A snapshot of the Go principal with this cluster. */
async function snapshotOf(cluster: Cluster, primary: GoPrimary): Promise<void> {
  for (const { kind, apiVersion: _, ...object } of await (await cluster.whole()).list()) {
    const { name, namespace, uid } = object.metadata;
    const resource = {
      ...{ kind: kind === "Secret" ? "Repository" : kind, name, namespace, uid },
      data: new TextEncoder().encode(JSON.stringify(object)),
    };
    if (kind === "Application") {
      primary.agents.set(namespace, [...primary.agents.get(namespace) ?? [], resource]);
    } else if (kind === "AppProject" || name === "repo") primary.principalResources.push(resource);
  }
}

const untilThere = (agent: SimAgent, name: string) =>
  untilHolds(agent, "Application", [...NAMES, name], 60_000);

Deno.test({
  ...ON_CLUSTER,
  name:
    "a single Go principal becomes ours in its cluster, and its objects are as they were when it comes back",
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitions);
      workshop.onClose(() => cluster.stop());
      for (const namespace of ["argocd", "edge-1", "edge-2"]) await cluster.namespace(namespace);
      let port = 0;
      const agents = await agentsAt(
        { dir: workshop.dir, onClose: (cleanup) => workshop.onClose(cleanup) },
        () => `127.0.0.1:${port}`,
      );
      await asGoLeft(cluster, agents);
      const objects = await cluster.whole();
      const inCluster = async () =>
        (await objects.list()).filter(({ kind, metadata }) =>
          kind !== "ConfigMap" && metadata.namespace !== ""
        )
          .map((object) => `${keyOfObject(object)} ${object.metadata.uid}`).sort();
      const [before, atAgents] = [await inCluster(), held(Object.values(agents))];
      const { settings: { store } } = parseSettings([
        ...["--namespace=argocd", "--auth=mtls:CN=([^,]+)", "--redis-server-address=off"],
        `--kubeconfig=${await cluster.kubeconfigFile()}`,
      ], () => undefined);
      const own = workshop.settings("primary", 0, ["--insecure-jwt-generate", "--ha-enabled=false"]);
      const running = await workshop.start({ ...own, store });
      await untilState(running, "active", 60_000);
      port = running.ports.grpc;
      for (const agent of Object.values(agents)) agent.start();
      await kept(agents, atAgents);
      await objects.write({ op: "put", object: application("edge-1", "new") });
      await untilThere(agents.managed, "new");
      untouched(agents);
      await running.stop();
      assertEquals((await inCluster()).filter((line) => !line.includes("/new ")), before);
    }),
});

/** Replication of the real thing is in both directions; the agents are asked through one name. */
async function pairStory(pair: KubePair, onClose: (cleanup: () => Promise<void>) => void): Promise<void> {
  const { primary, replica } = pair.clusters;
  const front = new Front(() => [pair.primary.side.ports, pair.replica.side.ports]);
  onClose(() => front.close());
  const agents = await agentsAt({ dir: pair.dir, onClose }, () => front.address);
  await asGoLeft(primary, agents);
  const [atAgents, uids] = [held(Object.values(agents)), new Map<string, string>()];
  for (const object of await (await primary.whole()).list("Application")) {
    uids.set(keyOfObject(object), object.metadata.annotations?.[SOURCE_UID] ?? object.metadata.uid);
  }

  // Side b first: ours follows the Go principal of side a, which then ends.
  const go = new GoPrimary();
  await snapshotOf(primary, go);
  const material = (name: string) => ({
    cert: Buffer.from(Deno.readFileSync(`${pair.dir}/pki/${name}.crt`)),
    key: Buffer.from(Deno.readFileSync(`${pair.dir}/pki/${name}.key`)),
    ca: Buffer.from(Deno.readFileSync(`${pair.dir}/pki/ca.crt`)),
    notAfterMs: Date.now() + 1e7,
  });
  await go.listen(material("primary"), pair.primary.side.ports.grpc);
  pair.replica.start();
  await pair.replica.untilState("replicating");
  go.close();
  await pair.replica.untilState("disconnected");
  const ha = async (at: KubePair["primary"], ...args: string[]) => {
    const { code, stdout, stderr } = await runCli(["ha", ...args, "--yes", "-a", at.admin]);
    assertEquals(code, 0, `${stdout}\n${stderr}\n${at.logEnd()}`);
  };
  await ha(pair.replica, "promote");
  await pair.replica.untilState("active");
  for (const agent of Object.values(agents)) agent.start();
  await kept(agents, atAgents);
  await applyAll(replica, [application("edge-1", "at-b")]);
  await untilThere(agents.managed, "at-b");
  untouched(agents);

  // Then side a: ours finds the ACTIVE, and follows it over the objects that the Go principal left.
  pair.primary.start();
  await pair.primary.untilState("replicating");
  await pair.untilEqual(60_000);
  await ha(pair.primary, "switchover");
  await pair.primary.untilState("active");
  await until(() => agents.managed.connected && agents.own.connected, 60_000, () => "agents do not come");
  await applyAll(primary, [application("edge-1", "at-a")]);
  await untilHolds(agents.managed, "Application", [...NAMES, "at-b", "at-a"], 60_000);
  const now = held(Object.values(agents));
  assertEquals(atAgents.filter((line) => !now.includes(line)), []);
  await kept(agents, now);

  // And back: a Go principal follows ours, and has each object under the identity by which agents know it.
  await pair.replica.kill("SIGTERM");
  const back = new GoReplica(`127.0.0.1:${pair.primary.side.ports.grpc}`, material("replica"));
  onClose(() => Promise.resolve(back.close()));
  await back.connect();
  for (const [key, uid] of uids) {
    assert(back.resources.has(key), `${key} is not in the snapshot`);
    const annotations = (JSON.parse(back.resources.get(key) ?? "{}") as ApiObject).metadata.annotations ?? {};
    assertEquals(annotations[SOURCE_UID] ?? back.uids.get(key), uid, key);
  }
  assert(back.resources.has("AppProject/argocd/shop") && back.resources.has("Repository/argocd/repo"));
  assertEquals(back.problems, []);
}

Deno.test({
  ...ON_CLUSTER,
  ...LOOSE,
  name:
    "a Go pair becomes ours side after side, and a Go principal can follow it back; agents keep every object",
  fn: () =>
    withKubePair(definitions, { namespaces: ["edge-1", "edge-2"] }, async (pair) => {
      const cleanups: (() => Promise<void>)[] = [];
      try {
        await pairStory(pair, (cleanup) => cleanups.push(cleanup));
      } finally {
        for (const cleanup of cleanups.reverse()) await cleanup();
      }
    }),
});

import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { parse, parseAllDocuments } from "yaml";
import deployment from "../../../deploy/base/deployment.yaml" with { type: "text" };
import { reasonOf } from "../../base/reason.ts";
import { installClusters, installHosts } from "../install.ts";
import { addressOf, agentNames, type Answers } from "./answers.ts";
import { imageOf } from "./kubernetes.ts";

const ANSWERS: Answers = {
  namespace: "argocd",
  sides: { primary: { host: "a.example", port: 443 }, replica: { host: "2001:db8::2", port: 8443 } },
  front: { host: "agents.example", port: 443 },
  agents: ["edge-1"],
  days: 30,
};
const IMAGE = { name: "registry.example/argocd-agent-ha", digest: `sha256:${"a".repeat(64)}` };

const refusal = (run: () => unknown) => reasonOf(assertThrows(run));

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "aaha-install-" });
  try {
    await run(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

Deno.test("an address is a host with or without a port, and anything else is refused by name", () => {
  assertEquals(addressOf("primary", "a.example", 443), { host: "a.example", port: 443 });
  assertEquals(addressOf("primary", "10.0.0.1:8443", 443), { host: "10.0.0.1", port: 8443 });
  assertEquals(addressOf("primary", "[2001:db8::1]:8443", 443), { host: "2001:db8::1", port: 8443 });
  for (const text of ["", "https://a.example", "a.example:0", "a.example:70000", "a b"]) {
    assertStringIncludes(refusal(() => addressOf("primary", text, 443)), `--primary "${text}"`);
  }
});

Deno.test("agents' names are names of namespaces, each once, and none is a principal's", () => {
  assertEquals(agentNames("edge-1, edge-2,"), ["edge-1", "edge-2"]);
  for (const text of ["Edge", "a/b", "replica", "primary", "a,a"]) {
    assertStringIncludes(refusal(() => agentNames(text)), "--agents");
  }
});

Deno.test("an image is named by its digest", () => {
  assertEquals(imageOf(`r.example/x@sha256:${"b".repeat(64)}`), {
    name: "r.example/x",
    digest: `sha256:${"b".repeat(64)}`,
  });
  assertEquals(imageOf("r.example/x:latest"), undefined);
});

Deno.test("install clusters: each parameter is one that the Deployment reads, and the CA's key is in no cluster", async () =>
  await inFolder(async (dir) => {
    await installClusters(dir, ANSWERS, IMAGE);
    const read = (path: string) => Deno.readTextFileSync(`${dir}/${path}`);
    for (const side of ["primary", "replica"]) {
      const { data } = parse(read(`${side}/params.yaml`)) as { data: Record<string, string> };
      assertEquals(data["principal.ha.preferred-role"], side);
      for (const key of Object.keys(data)) assertStringIncludes(deployment, `key: ${key}\n`);
      assertEquals(Deno.statSync(`${dir}/${side}/secrets.yaml`).mode! & 0o777, 0o600);
    }
    const peer = parse(read("primary/params.yaml")).data["principal.ha.peer-address"];
    assertEquals(peer, "[2001:db8::2]:8443");
    const key = new TextEncoder().encode(read("ca/ca.key")).toBase64();
    for (const path of ["primary/secrets.yaml", "replica/secrets.yaml", "agents/edge-1.yaml"]) {
      assert(!read(path).includes(key), path);
    }
    const names = parseAllDocuments(read("primary/secrets.yaml")).map((one) => one.toJS().metadata.name);
    assert(names.includes("cluster-edge-1"), names.join());
    assertStringIncludes(read("NEXT.txt"), "kubectl --context EDGE-1 apply -f agents/edge-1.yaml");
  }));

Deno.test("install never writes over what is there", async () =>
  await inFolder(async (dir) => {
    await installHosts(dir, ANSWERS);
    const before = Deno.readTextFileSync(`${dir}/ca/ca.crt`);
    const error = await assertRejects(() => installHosts(dir, ANSWERS));
    assertStringIncludes(reasonOf(error), "name a new folder");
    assertEquals(Deno.readTextFileSync(`${dir}/ca/ca.crt`), before);
  }));

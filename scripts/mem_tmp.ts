import { generatedApplication } from "../src/cli/examples.ts";
import pLimit from "p-limit";
import { definitionSets } from "../tests/kube/crds.ts";
import { KubePair } from "../tests/support/kube_pair.ts";
const total = Number(Deno.args[0]);
const pair = await KubePair.open(definitionSets()[0]![1], {
  namespaces: Array.from({ length: 50 }, (_, n) => `edge-${n + 1}`),
});
const limit = pLimit(32);
const path = (o: any) => `/apis/argoproj.io/v1alpha1/namespaces/${o.metadata.namespace}/applications`;
await Promise.all(Array.from({ length: total }, (_, n) =>
  limit(() => {
    const o = generatedApplication(n);
    return pair.clusters.primary.request("POST", path(o), o);
  })));
const rss = (p: any) => {
  const s = Deno.readTextFileSync(`/proc/${p.pid}/status`);
  return ["VmRSS", "RssAnon", "RssFile"].map((k) =>
    k + " " + Math.round(Number(new RegExp(k + ":\\s+(\\d+)").exec(s)![1]) / 1000)
  ).join(" ");
};
const show = (w: string) => console.log(w, "active", rss(pair.primary), "| replica", rss(pair.replica));
pair.primary.start();
await pair.primary.untilState("active", 100000);
console.log("active alone", rss(pair.primary));
let t = performance.now();
pair.replica.start();
await pair.replica.untilState("replicating", 200000);
console.log("cold", performance.now() - t);
show("cold");
const cpu = () => {
  const r: Record<string, number> = {};
  for (const e of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(e.name)) continue;
    try {
      const st = Deno.readTextFileSync(`/proc/${e.name}/stat`).split(") ")[1]!.split(" ");
      const cl = Deno.readTextFileSync(`/proc/${e.name}/cmdline`).split("\0").join(" ");
      const k = cl.includes("kube-apiserver")
        ? "api"
        : cl.includes("etcd --")
        ? "etcd"
        : cl.includes("kube-controller")
        ? "kcm"
        : cl.includes("preferred-role=primary")
        ? "PRIMARY"
        : cl.includes("preferred-role=replica")
        ? "REPLICA"
        : cl.includes("mem_tmp")
        ? "bench"
        : "";
      if (k) {
        const kk = k === "api" || k === "etcd" ? k + e.name : k;
        r[kk] = (r[kk] ?? 0) + (Number(st[11]) + Number(st[12])) * 10;
      }
    } catch {}
  }
  return r;
};
const c0 = cpu();
t = performance.now();
await Promise.all(Array.from({ length: 2000 }, (_, n) =>
  limit(() => {
    const o = generatedApplication(n);
    return pair.clusters.primary.request("PATCH", path(o) + "/" + o.metadata.name, {
      spec: { source: { targetRevision: "x" } },
    }, "application/merge-patch+json");
  })));
console.log("source burst", performance.now() - t);
await new Promise((r) => setTimeout(r, 2500));
const c1 = cpu();
console.log(Object.entries(c1).map(([k, v]) => k + " " + (v - (c0[k] ?? 0))).join(", "));
await pair.untilEqual(60000);
show("burst");
for (const p of [pair.primary, pair.replica]) {
  const text = await (await fetch(`http://127.0.0.1:${p.side.ports.metrics}/metrics`)).text();
  console.log(
    text.split("\n").filter((l) => /^(process_resident|nodejs_heap|nodejs_external|process_heap)/.test(l))
      .join(" ; "),
  );
}
await new Promise((r) => setTimeout(r, 5000));
show("later");
await pair.close();
Deno.exit(0);

import { assertEquals } from "@std/assert";
import { Dependencies, isReadable, sentenceOf } from "./dependencies.ts";
import { keyOfObject } from "./keys.ts";
import { kindOf } from "./kinds.ts";
import { selects } from "./label_selector.ts";
import type { ApiObject, StoredObject } from "./object.ts";
import { referencesOf } from "./references.ts";
import { wholeScope } from "./scope.ts";

const SCOPE = wholeScope("argocd");
const TYPE = "argocd.argoproj.io/secret-type";
const STAYS = { "argocd-agent.argoproj-labs.io/ignore-sync": "true" };

function argo(kind: string, name: string, spec: unknown, namespace = "argocd"): ApiObject {
  return { apiVersion: "argoproj.io/v1alpha1", kind, metadata: { name, namespace }, spec };
}

function secret(name: string, type: string, fields: Record<string, string>, labels = {}): ApiObject {
  const data = Object.fromEntries(Object.entries(fields).map(([field, value]) => [field, btoa(value)]));
  const metadata = { name, namespace: "argocd", labels: { [TYPE]: type, ...labels } };
  return { apiVersion: "v1", kind: "Secret", metadata, data };
}

const clusters = (selector?: unknown) => ({ clusters: selector ? { selector } : {} });
const fleet = (...generators: unknown[]) => argo("ApplicationSet", "fleet", { generators, template: {} });

/** A side with these objects. */
function side(...objects: ApiObject[]): Dependencies {
  const dependencies = new Dependencies(SCOPE);
  for (const object of objects) {
    dependencies.put(object as StoredObject, kindOf(object, SCOPE) !== undefined);
  }
  return dependencies;
}

const lacking = (active: Dependencies, other: Dependencies) => other.lacking(active.needs()).map(sentenceOf);

Deno.test("selects() follows Kubernetes' label selectors", () => {
  const expression = (operator: string, values?: string[], key = "region") => ({
    matchExpressions: [{ key, operator, values }],
  });
  const cases: [selector: unknown, expected: boolean][] = [
    [undefined, true],
    [{}, true],
    [{ matchLabels: { region: "eu" } }, true],
    [{ matchLabels: { region: "us" } }, false],
    [{ matchLabels: { region: "eu", tier: "1" } }, false],
    [expression("In", ["eu", "us"]), true],
    [expression("In", ["us"]), false],
    [expression("NotIn", ["us"]), true],
    [expression("NotIn", ["us"], "tier"), true],
    [expression("Exists"), true],
    [expression("Exists", [], "tier"), false],
    [expression("DoesNotExist", [], "tier"), true],
    [expression("Gt", ["1"]), false],
    [{ matchLabels: { region: "eu" }, ...expression("DoesNotExist") }, false],
    [{ matchExpressions: ["x"] }, false],
  ];
  for (const [selector, expected] of cases) {
    assertEquals(selects(selector, { region: "eu" }), expected, JSON.stringify(selector));
  }
});

Deno.test("referencesOf() names project, destination, repositories and cluster selectors, and nothing that a template computes", () => {
  const eu = { matchLabels: { region: "eu" } };
  const application = (spec: unknown) => argo("Application", "a", spec, "edge-1");
  const cases: [ApiObject, string[]][] = [
    [
      application({ project: "shop", destination: { name: "edge-1" }, source: { repoURL: "https://git/a" } }),
      [
        "project:shop",
        "cluster:edge-1",
        "repository:https://git/a",
      ],
    ],
    [
      application({
        destination: { server: "https://10.0.0.1" },
        sources: [{ repoURL: "r" }, { repoURL: "r" }, 7],
      }),
      [
        "project:default",
        "server:https://10.0.0.1",
        "repository:r",
      ],
    ],
    [application({ project: "p", destination: { name: "in-cluster" } }), ["project:p"]],
    [application({ project: "p", destination: { server: "https://kubernetes.default.svc" } }), ["project:p"]],
    [application("nonsense"), []],
    [fleet(clusters(eu)), ["project:default", 'selector:{"matchLabels":{"region":"eu"}}']],
    [fleet(clusters(), clusters()), ["project:default", "selector:{}"]],
    [fleet({ list: { elements: [{ cluster: "x" }] } }, { git: { repoURL: "https://git/b" } }), [
      "project:default",
    ]],
    [fleet({ matrix: { generators: [{ git: {} }, { merge: { generators: [clusters(eu), "x"] } }] } }), [
      "project:default",
      'selector:{"matchLabels":{"region":"eu"}}',
    ]],
    [
      argo("ApplicationSet", "s", {
        template: {
          spec: { project: "{{.project}}", destination: { name: "{{name}}" }, source: { repoURL: "r" } },
        },
      }),
      ["repository:r"],
    ],
    [secret("c", "cluster", {}), []],
  ];
  for (const [object, expected] of cases) {
    assertEquals<string[]>(referencesOf(object), expected, JSON.stringify(object));
  }
  let nested: unknown = clusters();
  for (let i = 0; i < 10_000; i++) nested = { matrix: { generators: [nested] } };
  assertEquals<string[]>(referencesOf(fleet(nested)), ["project:default"]);
});

Deno.test("a cluster that a generator selects and the other side lacks is named, with what selects it and why it stays", () => {
  const eu = { matchLabels: { region: "eu" } };
  const east = secret("east", "cluster", { name: "east", server: "https://east" }, {
    region: "eu",
    ...STAYS,
  });
  const west = secret("west", "cluster", { name: "west", server: "https://west" }, { region: "us" });
  const active = side(fleet(clusters(eu)), east, west);
  const sentence = 'Secret/argocd/east: ApplicationSet/argocd/fleet generates from it as cluster "east"; ' +
    "not replicated: label argocd-agent.argoproj-labs.io/ignore-sync";
  assertEquals(lacking(active, side()), [sentence]);
  assertEquals(lacking(active, side(west)), [sentence], "another cluster does not stand in for it");
  assertEquals(lacking(active, active), []);
  const own = secret("east-b", "cluster", { name: "east", server: "https://proxy-b/east" }, { region: "eu" });
  assertEquals(lacking(active, side(own)), [], "the same cluster under another name and address");
  const unlabelled = secret("east", "cluster", { name: "east", server: "https://east" });
  assertEquals(lacking(active, side(unlabelled)), [sentence], "there, but the generator does not select it");
});

Deno.test("projects, destinations and repositories are dependencies where the side that tells them has them", () => {
  const spec = { project: "shop", destination: { name: "east" }, source: { repoURL: "https://git/shop/a" } };
  const app = argo("Application", "a", spec, "edge-1");
  const more = argo("Application", "b", { ...spec, destination: { server: "https://west" } }, "edge-2");
  const east = secret("east", "cluster", { name: "east", server: "https://east" });
  const west = secret("west", "cluster", { server: "https://west" });
  const repository = secret("shop", "repo-creds", { url: "https://git/shop", project: "shop" }, STAYS);
  const exact = secret("other", "repository", { url: "https://git/other" });
  const shop = argo("AppProject", "shop", {});
  const active = side(app, more, east, west, repository, exact, shop);
  assertEquals(lacking(active, side(app, more)), [
    'Secret/argocd/shop: Application/edge-1/a (and 1 more) uses it for "https://git/shop/a"; ' +
    "not replicated: label argocd-agent.argoproj-labs.io/ignore-sync",
    "AppProject/argocd/shop: Application/edge-1/a (and 1 more) names it",
    'Secret/argocd/east: Application/edge-1/a deploys to it as cluster "east"',
    'Secret/argocd/west: Application/edge-2/b deploys to it as "https://west"',
  ]);
  assertEquals(lacking(side(app, more), side()), [], "both sides lack it: no failover changes that");
  active.removed(keyOfObject(app));
  active.removed(keyOfObject(more));
  assertEquals(active.needs(), []);
});

Deno.test("what is not replicated needs nothing, and Applications of Argo CD's own cluster are listed", () => {
  const own = argo("Application", "root", { project: "shop", destination: { name: "in-cluster" } });
  const active = side(own, argo("AppProject", "shop", {}));
  assertEquals([active.needs(), active.inCluster], [[], ["Application/argocd/root"]]);
  active.put(argo("Application", "root", { destination: { name: "edge-1" } }) as StoredObject, true);
  assertEquals(active.inCluster, []);
});

Deno.test("a listing replaces what it does not name, and nothing else meanwhile", () => {
  const [east, west] = ["east", "west"].map((name) => secret(name, "cluster", { name, server: name }));
  const set = fleet(clusters());
  const here = side(set, east as ApiObject, west as ApiObject);
  here.reset();
  assertEquals(here.needs().length, 2);
  for (const object of [set, west]) here.put(object as StoredObject, true);
  here.synced();
  assertEquals(here.needs().map(({ key }) => key), ["Secret/argocd/west"]);
});

Deno.test("isReadable() takes no peer's need that cannot be asked for", () => {
  const need = {
    by: "selector",
    name: "x",
    selector: "{}",
    key: "Secret/argocd/x",
    user: "",
    users: 1,
    stays: "",
  } as const;
  assertEquals(isReadable(need), true);
  assertEquals(isReadable({ ...need, selector: "{" }), false);
  assertEquals(isReadable({ ...need, key: "../x" }), false);
});

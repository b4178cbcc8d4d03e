/**
 * The Go project's Grafana dashboard of a principal has 40 panels. Each one shows data of a principal of ours that serves an agent: these
 * are the series that the panels read, with the labels that they select and group by.
 */
import { assertEquals, assertMatch } from "@std/assert";
import { freePorts } from "../../src/cli/processes.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { application, project, repository, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, until, untilState } from "../support/principals.ts";
import { Cluster, ON_CLUSTER } from "./cluster.ts";
import { definitionSets } from "./crds.ts";

const tallied = (name: string, ...what: string[]) => what.map((one) => `${name}_${one}`);
const APPS = "principal_applications";
const PROJECTS = "principal_app_projects";
const REPOSITORIES = "principal_repositories";
const APPSETS = "argocd_principal_appsets";
const PROCESSING = "principal_event_processing_time";

/** The series of each panel, in the dashboard's order; in braces the labels that it needs. */
const PANELS: readonly string[][] = [
  ["argocd_agent_build_info"],
  tallied(APPS, "created", "deleted"),
  tallied(PROJECTS, "created", "deleted"),
  tallied(REPOSITORIES, "created", "deleted"),
  ["argocd_principal_gpg_keys_count"],
  tallied(APPSETS, "created", "deleted"),
  tallied(APPS, "created", "deleted"),
  tallied(PROJECTS, "created", "deleted"),
  tallied(REPOSITORIES, "created", "deleted"),
  tallied(APPSETS, "created", "deleted"),
  ["argocd_principal_connected_agents"],
  ["principal_agent_avg_connection_time"],
  ["argocd_agent_connection_start_timestamp_seconds{agent_name}"],
  ["argocd_principal_agent_connections_total{agent_name}"],
  tallied(APPS, "created", "updated", "deleted"),
  tallied(PROJECTS, "created", "updated", "deleted"),
  tallied(REPOSITORIES, "created", "updated", "deleted"),
  tallied(APPSETS, "created", "deleted"),
  ["principal_events_received", "principal_events_sent"],
  ["principal_errors{resource_type}"],
  [`${PROCESSING}_bucket{le}`],
  [`${PROCESSING}_count{status}`],
  [`${PROCESSING}_count{agent_name}`],
  [`${PROCESSING}_count{resource_type}`],
  ["principal_event_writer_send_errors_total{reason}"],
  ["argocd_principal_event_writer_events_discarded_total"],
  ["argocd_principal_resource_proxy_requests_total{agent_name}"],
  ["argocd_principal_resource_proxy_errors_total{agent_name,reason}"],
  ["argocd_principal_redis_proxy_requests_total{agent_name,command}"],
  ["argocd_principal_redis_proxy_errors_total{agent_name,command}"],
  ["grpc_server_started_total{grpc_type}"],
  ["grpc_server_handled_total{grpc_code}"],
  ["grpc_server_msg_received_total", "grpc_server_msg_sent_total"],
  ["grpc_server_handling_seconds_bucket{le}"],
  ["rest_client_requests_total{code}"],
  ["rest_client_request_duration_seconds_bucket{le}"],
  ["process_cpu_seconds_total"],
  ["process_resident_memory_bytes"],
  ["process_open_fds", "process_max_fds"],
  ["go_goroutines"],
];

interface Sample {
  labels: string;
  value: number;
}

/** The samples of `/metrics`, by name. */
function samplesOf(text: string): Map<string, Sample[]> {
  const samples = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    const [, name = "", labels = "", value] = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name) samples.set(name, [...samples.get(name) ?? [], { labels, value: Number(value) }]);
  }
  return samples;
}

/** The series of panels without a sample that has the labels and a number. */
function missingOf(samples: Map<string, Sample[]>): string[] {
  return PANELS.flat().filter((series) => {
    const [, name = "", labels = ""] = /^(\w+)(?:\{(.*)\})?$/.exec(series) ?? [];
    return !(samples.get(name) ?? []).some((sample) =>
      Number.isFinite(sample.value) &&
      labels.split(",").every((label) => label === "" || sample.labels.includes(`${label}="`))
    );
  });
}

const [[, definitions] = ["", []]] = definitionSets();

Deno.test({
  ...ON_CLUSTER,
  name: "the 40 panels of the Go project's dashboard show data of a principal that serves an agent",
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitions);
      workshop.onClose(() => cluster.stop());
      for (const namespace of ["argocd", "edge-1"]) await cluster.namespace(namespace);
      const kubeconfig = await cluster.kubeconfigFile();
      const own = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const { settings: { store } } = parseSettings([
        ...["--namespace=argocd", "--auth=mtls:CN=([^,]+)", `--kubeconfig=${kubeconfig}`],
        ...["--tls-cert=a", "--tls-key=b", "--root-ca-path=c"],
      ], () => undefined);
      const [metricsPort = 0] = freePorts(1);
      const running = await workshop.start({ ...own, store, metricsPort });
      await untilState(running, "active", 30_000);
      const objects = await cluster.whole();
      const keys = { "ABCD": "key", "EFGH": "key" };
      const put = [
        project("shop", "edge-*"),
        repository("repo", "shop"),
        application("edge-1", "a"),
        application("edge-1", "b"),
        {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "argocd-gpg-keys-cm", namespace: "argocd" },
          data: keys,
        },
      ];
      for (const object of put) await objects.write({ op: "put", object });
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a", "b"], 30_000);
      await cluster.request("DELETE", "/apis/argoproj.io/v1alpha1/namespaces/edge-1/applications/b");
      await untilHolds(agent, "Application", ["a"], 30_000);

      const metrics = async () => {
        const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
        return samplesOf(await response.text());
      };
      const valueOf = (samples: Map<string, Sample[]>, name: string) => samples.get(name)?.[0]?.value;
      let samples = await metrics();
      await until(
        async () => {
          samples = await metrics();
          return missingOf(samples).length === 0 && valueOf(samples, `${APPS}_deleted`) === 1;
        },
        30_000,
        () => `without data: ${missingOf(samples)}; deleted: ${valueOf(samples, `${APPS}_deleted`)}`,
        100,
      );
      assertEquals(PANELS.length, 40);
      assertEquals(valueOf(samples, `${APPS}_created`), 2);
      assertEquals(valueOf(samples, `${PROJECTS}_created`), 1);
      assertEquals(valueOf(samples, `${REPOSITORIES}_created`), 1);
      assertEquals(valueOf(samples, "argocd_principal_gpg_keys_count"), 2);
      const calls = (name: string) => samples.get(name)?.map(({ labels }) => labels).join("\n") ?? "";
      assertMatch(
        calls("grpc_server_started_total"),
        /grpc_type="bidi_stream",grpc_service="eventstreamapi.EventStream",grpc_method="Subscribe"/,
      );
      assertMatch(calls("grpc_server_handled_total"), /grpc_method="Authenticate",grpc_code="OK"/);
      assertMatch(
        calls("rest_client_requests_total"),
        new RegExp(`code="201",method="POST",host="${new URL(cluster.server).host}"`),
      );
    }),
});

/** Many simulated agents in one process, and whether each holds exactly what a principal's store says. */
import { asAtAgent } from "../domain/agents/projects.ts";
import type { ApiObject } from "../domain/resources/object.ts";
import { SimAgent, type SimOptions } from "./agent.ts";
import { issuer } from "./certificates.ts";
import { comparable } from "./cluster.ts";

export interface CrowdOptions {
  pki: string;
  address: () => string;
  /** Names of managed and of autonomous agents. */
  managed: string[];
  autonomous: string[];
  controller?: boolean;
  /** The password of every agent; absent: each proves itself by its certificate. */
  password?: string;
  /** How they reach their principal; over HTTP/2 where nothing else is said. */
  connect?: SimOptions["connect"];
}

export class Crowd {
  constructor(readonly managed: SimAgent[], readonly autonomous: SimAgent[]) {}

  static async make(options: CrowdOptions): Promise<Crowd> {
    const { pki, address, managed, autonomous, controller = true, password, connect } = options;
    const issue = await issuer(pki);
    const agents = (names: string[], mode: "managed" | "autonomous") =>
      Promise.all(names.map(async (name, n) => {
        const firstVersion = 1_000 * n;
        const proof = password === undefined
          ? {}
          : { method: "userpass", credentials: { clientid: name, clientsecret: password } };
        const material = await issue(name);
        const way = connect ? { connect } : {};
        return new SimAgent({ name, mode, address, material, controller, firstVersion, ...proof, ...way });
      }));
    return new Crowd(await agents(managed, "managed"), await agents(autonomous, "autonomous"));
  }

  get all(): SimAgent[] {
    return [...this.managed, ...this.autonomous];
  }

  get connected(): number {
    return this.all.filter((agent) => agent.connected).length;
  }

  start(): void {
    for (const agent of this.all) agent.start();
  }

  async stop(): Promise<void> {
    await Promise.all(this.all.map((agent) => agent.stop()));
  }

  /** Objects that were deleted and recreated on any agent's cluster. */
  get recreated(): number {
    return this.all.reduce((sum, agent) => sum + agent.cluster.recreated, 0);
  }

  /** The agents that do not hold exactly what these objects of a principal say. */
  differing(objects: readonly ApiObject[]): string[] {
    const byAgent = Map.groupBy(
      objects.filter(({ kind }) => kind === "Application"),
      ({ metadata }) => metadata.namespace ?? "",
    );
    const differs = (agent: SimAgent, form: (object: ApiObject) => string) => {
      const theirs = contents(agent.cluster.list("Application"), comparable);
      return !agent.connected || theirs !== contents(byAgent.get(agent.name) ?? [], form);
    };
    const managed = this.managed.filter((agent) => differs(agent, comparable));
    const autonomous = this.autonomous.filter((agent) =>
      differs(agent, (object) => comparable(asAtAgent(object, agent.name)))
    );
    return [...managed, ...autonomous].map(({ name }) => name);
  }
}

function contents(objects: ApiObject[], form: (object: ApiObject) => string): string {
  return objects.map(form).sort().join("\n");
}

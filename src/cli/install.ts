/** `install`: everything that both sides and the agents need, from a few answers, and the steps that are left. */
import { resolve } from "node:path";
import type { Address, Answers, File, SideName } from "./install/answers.ts";
import { hostFiles, laptopFiles, laptopPorts } from "./install/hosts.ts";
import { clusterFiles, type Image } from "./install/kubernetes.ts";
import { authorityFiles, makeMaterial, type Material } from "./install/material.ts";
import { clusterSteps, hostSteps, laptopSteps, numbered } from "./install/next.ts";
import { routingFiles } from "./install/routing.ts";
import { writeFiles } from "./install/write.ts";

const HEALTH = { primary: 8_003, replica: 8_003 };

/** Two clusters. @returns the steps that are left @throws CommandError */
export function installClusters(dir: string, answers: Answers, image: Image): Promise<string> {
  return install(dir, answers, (material) => [
    ...clusterFiles(answers, image, material),
    ...routingFiles(answers, HEALTH),
  ], clusterSteps(answers));
}

/** Two hosts. @returns the steps that are left @throws CommandError */
export function installHosts(dir: string, answers: Answers): Promise<string> {
  return install(dir, answers, (material) => [
    ...hostFiles(answers, material),
    ...routingFiles(answers, HEALTH),
  ], hostSteps(answers));
}

/** Two processes on this machine, at ports from `first` on. @returns the steps that are left @throws CommandError */
export function installLaptop(
  dir: string,
  answers: Omit<Answers, "sides" | "front">,
  first: number,
): Promise<string> {
  const ports = laptopPorts(first);
  const at = (side: SideName): Address => ({ host: "127.0.0.1", port: ports[side].grpc });
  const sides = { primary: at("primary"), replica: at("replica") };
  const all = { ...answers, sides, front: sides.primary };
  const path = resolve(dir);
  return install(
    dir,
    all,
    (material) => laptopFiles(all, material, path, ports),
    laptopSteps(path, { primary: ports.primary.admin, replica: ports.replica.admin }),
  );
}

async function install(
  dir: string,
  answers: Answers,
  files: (material: Material) => File[],
  steps: readonly string[],
): Promise<string> {
  const material = await makeMaterial(answers);
  const next = numbered(steps);
  writeFiles(dir, [...files(material), ...authorityFiles(material), { path: "NEXT.txt", text: next }]);
  return next;
}

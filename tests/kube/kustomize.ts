/** Building what is in deploy/ as `kubectl apply -k` would. */
import { parseAllDocuments } from "yaml";
import { command } from "./cluster.ts";

/** Builds a kustomization. @throws Error with its words */
export async function kustomize(folder: string): Promise<Record<string, unknown>[]> {
  const { path, args } = command(Deno.env.get("KUBEBUILDER_ASSETS") ? "kubectl" : "kustomize");
  const build = Deno.env.get("KUBEBUILDER_ASSETS") ? ["kustomize", folder] : [...args, folder];
  const { success, stdout, stderr } = await new Deno.Command(path, { args: build }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  if (!success) throw new Error(`kustomize ${folder}: ${text(stderr)}`);
  return parseAllDocuments(text(stdout)).map((document) => document.toJS());
}

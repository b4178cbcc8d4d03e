/** The way to the peer over TLS: which certificates both ends show, and that the peer is who it must be. */
import type { Buffer } from "node:buffer";
import type grpc from "@grpc/grpc-js";
import { type CertificateNames, identify, type MtlsRule } from "../../domain/agents/identity.ts";
import type { TlsMaterial } from "../tls/files.ts";
import { namesOf, namesOfPem, pairProblem } from "./auth.ts";
import { dialPeer } from "./dial.ts";
import type { DialledCalls } from "./dialled_calls.ts";
import type { PeerAccess } from "./peer.ts";

/** A peer as it is configured. */
export interface ConfiguredPeer {
  address: string;
  healthz: string;
  maxMessageBytes: number;
  /** The identity that its certificate must have; empty: any of our CA for its address. */
  identity: string;
  /** Undefined: identities are not by certificate. */
  rule: MtlsRule | undefined;
}

/**
 * @param material this side's, now; throws where it serves without TLS
 * @param calls ends calls to a peer whose certificate does not count any more
 */
export function accessTo(
  peer: ConfiguredPeer,
  material: () => TlsMaterial,
  calls: Pick<DialledCalls, "dialled">,
  interceptors: readonly grpc.Interceptor[] = [],
): PeerAccess {
  let presented: CertificateNames | undefined;
  let own: { cert: Buffer; names: CertificateNames } | undefined;
  const shown = (der: Buffer) => {
    const names = namesOf(der);
    const problem = wrongIdentity(names, peer);
    if (problem !== "") return new Error(problem);
    presented = names;
    return undefined;
  };
  const ownNames = () => {
    const { cert } = material();
    if (own?.cert !== cert) own = { cert, names: namesOfPem(cert) };
    return own.names;
  };
  return {
    address: peer.address,
    healthz: peer.healthz,
    dial() {
      const { presented, interceptor } = calls.dialled();
      const accepted = (der: Buffer) => presented(der) ?? shown(der);
      return dialPeer(peer.address, material(), peer.maxMessageBytes, accepted, [
        interceptor,
        ...interceptors,
      ]);
    },
    certificates: () => ({ own: ownNames(), ...(presented ? { presented } : {}) }),
    certificateNotAfterMs: () => material().notAfterMs,
    certificateProblem: () => pairProblem(material().cert),
  };
}

function wrongIdentity(names: CertificateNames, { identity, rule }: ConfiguredPeer): string {
  if (identity === "" || !rule) return "";
  const found = identify(names, rule);
  if ("identity" in found && found.identity === identity) return "";
  const is = "identity" in found ? `of "${found.identity}"` : found.problem;
  return `its certificate is ${is}, not of --ha-peer-identity "${identity}"`;
}

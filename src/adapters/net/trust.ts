/**
 * The authorities that vouch for certificates. The handshake asks them once; when they are replaced, each open connection is asked for
 * again. A chain whose middle the handshake did not leave behind counts as broken: its connection is closed, and comes back verified.
 */
import { X509Certificate } from "node:crypto";

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
/** Certificates between a leaf and an authority. */
const MAX_STEPS = 8;

export const UNTRUSTED = "the certificate's authority is not trusted here any more";

export class Trust {
  private constructor(readonly pem: string, private readonly authorities: readonly X509Certificate[]) {}

  /** @param pem a bundle; a part that is no certificate vouches for none */
  static of(pem: { toString(): string }): Trust {
    const text = pem.toString();
    return new Trust(text, (text.match(BLOCK) ?? []).flatMap((block) => parsed(block) ?? []));
  }

  /** @param chain in DER, the certificate itself first */
  vouchesFor(chain: readonly Uint8Array[]): boolean {
    let [certificate, ...between] = chain.slice(0, MAX_STEPS).flatMap((der) => parsed(der) ?? []);
    while (certificate) {
      const child: X509Certificate = certificate;
      if (this.authorities.some((one) => one.fingerprint256 === child.fingerprint256 || issued(one, child))) {
        return true;
      }
      certificate = between.find((one) => one.ca && issued(one, child));
      between = between.filter((one) => one !== certificate);
    }
    return false;
  }
}

function issued(issuer: X509Certificate, child: X509Certificate): boolean {
  return child.checkIssued(issuer) && child.verify(issuer.publicKey);
}

function parsed(certificate: string | Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(certificate as string);
  } catch {
    return undefined;
  }
}

/** A small certificate authority for trials and drills: ECDSA P-256, short subjects, PKCS#8 keys. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;
/** Clocks of two machines may differ a little. */
const BACKDATE_MS = 300_000;

/** A certificate and its key as PEM. */
export interface Issued {
  cert: string;
  key: string;
}

export interface LeafOptions {
  commonName: string;
  /** The O of the subject: a group, for Kubernetes. */
  organization?: string;
  /** DNS names and IP addresses. */
  sans: string[];
  server: boolean;
  /** Whether it is also for clients; default: it is. */
  client?: boolean;
  notBefore?: Date;
  notAfter?: Date;
}

export class Authority {
  private constructor(
    private readonly certificate: x509.X509Certificate,
    private readonly keys: CryptoKeyPair,
    private readonly days: number,
    readonly pem: Issued,
  ) {}

  static async create(days: number): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name: "CN=argocd-agent-ha CA",
      ...validity(days),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new Authority(certificate, keys, days, await toPem(certificate, keys));
  }

  /** The authority of an earlier `create`. */
  static async load(pem: Issued, days: number): Promise<Authority> {
    const certificate = new x509.X509Certificate(pem.cert);
    const der = x509.PemConverter.decodeFirst(pem.key);
    const privateKey = await crypto.subtle.importKey("pkcs8", der, ALGORITHM, true, ["sign"]);
    const publicKey = await certificate.publicKey.export(ALGORITHM, ["verify"]);
    return new Authority(certificate, { privateKey, publicKey }, days, pem);
  }

  /** A certificate for a server that is also a client, or for a client alone. */
  async issue(options: LeafOptions): Promise<Issued> {
    const keys = await generateKeys();
    const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
    const usages = [
      ...(options.server ? [serverAuth] : []),
      ...(options.client ?? true ? [clientAuth] : []),
    ];
    const { notBefore, notAfter } = validity(this.days);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serial(),
      subject: [
        { CN: [options.commonName] },
        ...(options.organization ? [{ O: [options.organization] }] : []),
      ],
      issuer: this.certificate.subject,
      notBefore: options.notBefore ?? notBefore,
      notAfter: options.notAfter ?? notAfter,
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: this.keys.privateKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(usages),
        ...(options.sans.length > 0 ? [alternativeNames(options.sans)] : []),
        await x509.AuthorityKeyIdentifierExtension.create(this.certificate),
      ],
    });
    return await toPem(certificate, keys);
  }
}

/** A key that signs agents' tokens: RSA, as PKCS#8 in PEM. */
export async function signingKey(): Promise<string> {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 3_072,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: "SHA-512",
  };
  const { privateKey } = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const der = await crypto.subtle.exportKey("pkcs8", privateKey);
  return x509.PemConverter.encode(der, "PRIVATE KEY") + "\n";
}

/** A server certificate that nobody vouches for, of these DNS names and IP addresses. */
export async function selfSigned(commonName: string, sans: string[], days: number): Promise<Issued> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [commonName] }],
    ...validity(days),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      alternativeNames(sans),
    ],
  });
  return await toPem(certificate, keys);
}

function alternativeNames(sans: string[]): x509.SubjectAlternativeNameExtension {
  const typed = sans.map((value) => ({
    type: /^[0-9.]+$|:/.test(value) ? "ip" as const : "dns" as const,
    value,
  }));
  return new x509.SubjectAlternativeNameExtension(typed);
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as Promise<CryptoKeyPair>;
}

function validity(days: number) {
  return { notBefore: new Date(Date.now() - BACKDATE_MS), notAfter: new Date(Date.now() + days * DAY_MS) };
}

function serial(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0] ?? 0) & 0x7f | 0x01;
  return bytes.toHex();
}

async function toPem(certificate: x509.X509Certificate, keys: CryptoKeyPair): Promise<Issued> {
  const key = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
  return {
    cert: certificate.toString("pem") + "\n",
    key: x509.PemConverter.encode(key, "PRIVATE KEY") + "\n",
  };
}

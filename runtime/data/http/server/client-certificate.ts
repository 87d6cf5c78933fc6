import { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { CertificateSource } from '../../../shared/server-certificate';

/** Certificates between that of a client and its authority; chains have two or three. */
const MAX_CHAIN = 10;

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** OpenSSL ignores what it cannot read, too. */
function tryParse(pem: string): readonly X509Certificate[] {
  try {
    return [new X509Certificate(pem)];
  } catch {
    return [];
  }
}

const authoritiesIn = (ca: Buffer): readonly X509Certificate[] =>
  (ca.toString('latin1').match(PEM) ?? []).flatMap(tryParse);

const isIssuedBy = (one: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && one.checkIssued(issuer) && one.verify(issuer.publicKey);

/** Do the certificates that the client sent lead to one of these authorities? */
function isTrustedBy(shown: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  let one = shown;
  for (let depth = 0; depth < MAX_CHAIN; depth += 1) {
    const last = one;
    if (authorities.some((authority) => isIssuedBy(last, authority))) return true;
    const next = one.issuerCertificate;
    if (next === undefined || !isIssuedBy(one, next)) return false;
    one = next;
  }
  return false;
}

/** The other end of a connection; TLS and what is below it are two sockets. */
const peerOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress}#${remotePort}`;

interface Verdict {
  readonly certificate: X509Certificate;
  /** The authorities that it was checked against. */
  readonly ca: Buffer | undefined;
  readonly isTrusted: boolean;
}

/** The certificates that clients show to a port. They are checked again when its authorities change. */
export class ShownCertificates {
  private readonly accepted = new Map<string, { readonly raw: Socket; readonly ca?: Buffer }>();
  private readonly verdicts = new WeakMap<Socket, Verdict>();

  constructor(private readonly tls: Pick<CertificateSource, 'pair'>) {}

  /** A connection begins: its handshake uses the present authorities, also if it ends later. */
  add(raw: Socket): void {
    const peer = peerOf(raw);
    const { ca } = this.tls.pair();
    this.accepted.set(peer, { raw, ...(ca && { ca }) });
    raw.once('close', () => {
      if (this.accepted.get(peer)?.raw === raw) this.accepted.delete(peer);
    });
  }

  /** The certificate of the other end, if one of the present authorities signed it. */
  of(socket: Socket): X509Certificate | undefined {
    if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
    const before = this.verdicts.get(socket);
    const { ca } = this.tls.pair();
    const verdict = before?.ca === ca ? before : this.check(socket, before, ca);
    return verdict?.isTrusted === true ? verdict.certificate : undefined;
  }

  private check(socket: TLSSocket, before?: Verdict, ca?: Buffer): Verdict | undefined {
    const certificate = before?.certificate ?? socket.getPeerX509Certificate();
    if (certificate === undefined || ca === undefined) return undefined;
    // A resumed session has no chain, but it cannot be older than the authorities.
    const isCurrent = this.accepted.get(peerOf(socket))?.ca === ca;
    const isTrusted = isCurrent || isTrustedBy(certificate, authoritiesIn(ca));
    const verdict = { certificate, ca, isTrusted };
    this.verdicts.set(socket, verdict);
    return verdict;
  }
}

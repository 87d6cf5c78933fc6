import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** A connection shows one certificate, and asks many times. */
const SHOWN = new WeakMap<Socket, X509Certificate>();

/** The certificate that the other end showed, if one of our authorities signed it. */
export function clientCertificateOf(socket: Socket): X509Certificate | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const shown = SHOWN.get(socket) ?? socket.getPeerX509Certificate();
  if (shown !== undefined) SHOWN.set(socket, shown);
  return shown;
}

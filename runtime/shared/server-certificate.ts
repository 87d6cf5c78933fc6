import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { FileWatchOptions } from './file-watch';
import { watchFiles } from './file-watch';
import type { Log } from './log';

/** Certificate chain and private key, PEM. */
export interface CertificatePair {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities of clients; undefined: none is asked for. The same buffer until they change. */
  readonly ca?: Buffer;
}

/** Clients are asked for a certificate; one without it may still show a key. */
export const clientVerification = ({ ca }: CertificatePair) => ({
  requestCert: ca !== undefined,
  rejectUnauthorized: false,
});

/** What a port takes its certificate from. */
export interface CertificateSource {
  readonly pair: () => CertificatePair;
  /** Calls back with each later pair; the returned function ends that. */
  readonly onChange: (listener: (pair: CertificatePair) => void) => () => void;
}

/** A pair of files that is read again when one of them changes. */
export interface ServerCertificate extends CertificateSource {
  /** When the certificate in use ends, milliseconds since the epoch. */
  readonly notAfter: () => number;
  /** Why the newest files are not used; undefined: they are. */
  readonly fault: () => string | undefined;
  readonly reload: () => void;
  readonly close: () => void;
}

export interface ServerCertificateOptions {
  readonly cert: string;
  readonly key: string;
  /** Authorities of client certificates. */
  readonly clientCa?: string | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Pick<Log, 'info' | 'error'>;
  readonly watch?: FileWatchOptions;
}

interface Loaded extends CertificatePair {
  readonly notAfter: number;
}

type Files = Pick<ServerCertificateOptions, 'cert' | 'key' | 'clientCa'>;

/** @throws when the files cannot be read, or do not belong together */
function load(files: Files): Loaded {
  const { clientCa } = files;
  const ca = clientCa === undefined ? undefined : readFileSync(clientCa);
  // OpenSSL takes a file without any certificate for no authorities.
  if (ca !== undefined && new X509Certificate(ca).subject === '') {
    throw new Error(`${clientCa} is not a certificate authority: it has no name`);
  }
  const pair = {
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
    ...(ca !== undefined && { ca }),
  };
  const certificate = new X509Certificate(pair.cert);
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) {
    throw new Error(`${files.key} is not the key of the certificate in ${files.cert}`);
  }
  // The whole chain is parsed as a port will do it.
  createSecureContext(pair);
  return { ...pair, notAfter: Date.parse(certificate.validTo) };
}

const EMPTY = Buffer.alloc(0);

const hasSameCa = (a: CertificatePair, b: CertificatePair): boolean =>
  a.ca === b.ca || b.ca?.equals(a.ca ?? EMPTY) === true;

const isSame = (a: CertificatePair, b: CertificatePair): boolean =>
  a.cert.equals(b.cert) && a.key.equals(b.key) && hasSameCa(a, b);

/**
 * Reads certificate and key, and reads them again when they change. A pair that cannot be used, or
 * has ended, does not replace one that works.
 * @throws when the first pair cannot be used
 */
export function openServerCertificate(options: ServerCertificateOptions): ServerCertificate {
  const { log, now, cert } = options;
  let current = load(options);
  let fault: string | undefined;
  const listeners = new Set<(pair: CertificatePair) => void>();
  const take = (loaded: Loaded): void => {
    if (loaded.notAfter <= now()) throw new Error(`the certificate in ${cert} has ended`);
    fault = undefined;
    if (isSame(loaded, current)) return;
    const { ca } = current;
    current = hasSameCa(loaded, current) ? { ...loaded, ...(ca && { ca }) } : loaded;
    for (const listener of listeners) listener(current);
    const notAfter = new Date(loaded.notAfter).toISOString();
    log.info('the certificate of the ports was read again', { notAfter });
  };
  const reload = (): void => {
    try {
      take(load(options));
    } catch (error) {
      const { message } = error as Error;
      if (message !== fault) {
        log.error('the new certificate cannot be used; the previous one stays', { error: message });
      }
      fault = message;
    }
  };
  const { key, clientCa } = options;
  const files = clientCa === undefined ? [cert, key] : [cert, key, clientCa];
  const watch = watchFiles(files, reload, options.watch);
  return {
    pair: () => current,
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    notAfter: () => current.notAfter,
    fault: () => fault,
    reload,
    close: watch.stop,
  };
}

import { z } from 'zod';
import { MAX_OBJECT_NAME, OBJECT_NAME } from './kubetext';
import type { ArtifactFault } from './artifactfault';
import { memorySchema } from './quantity';

/** Stores of artifacts. `file` is relative to the definition; the rest are URIs. */
const SCHEMES = ['file', 'https', 's3', 'gs', 'hf', 'oci', 'pvc'] as const;
export type Scheme = (typeof SCHEMES)[number];

/** A larger file cannot travel in a ConfigMap (1 MiB in all, base64 adds a third). */
export const MAX_FILE_BYTES = 700_000;

const EXAMPLES =
  './model.onnx, https://…, s3://bucket/key, gs://…, hf://org/name@revision, oci://…, pvc://claim/path';

/**
 * The scheme of an artifact URI; a text without one is a file. Undefined for an unsupported scheme.
 */
export function schemeOf(uri: string): Scheme | undefined {
  const match = /^([a-z][a-z0-9+.-]*):/i.exec(uri);
  if (match === null) return 'file';
  return SCHEMES.find((scheme) => scheme === match[1]?.toLowerCase());
}

/** The path of a `file` URI: `file:x`, `file:./x` and `./x` are relative, `file:///x` is absolute. */
export function filePathOf(uri: string): string {
  return uri.replace(/^file:(\/\/(?=\/))?/i, '');
}

/**
 * Bucket names, including the wider ones of old S3 regions and of Google. Neither two dots in a row
 * nor the form of an IPv4 address: the name may become part of a host.
 */
const BUCKET = /^(?!.*\.\.)(?!\d+(?:\.\d+){3}$)[a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?$/i;

/** The bucket of an `s3` or `gs` URI; undefined when the text is not a bucket name. */
export function bucketOf(uri: string): string | undefined {
  const name = /^[a-z0-9]+:\/\/([^/]+)/i.exec(uri)?.[1] ?? '';
  return BUCKET.test(name) ? name : undefined;
}

function hasBucket(uri: string): boolean {
  const scheme = schemeOf(uri);
  return (scheme !== 's3' && scheme !== 'gs') || bucketOf(uri) !== undefined;
}

/** `new URL` is the definition of a valid URL. */
function isUrl(text: string): boolean {
  try {
    return new URL(text).hostname !== '';
  } catch {
    return false;
  }
}

const isHttpUrl = (text: string): boolean => /^https?:\/\/[^\s/]+/.test(text) && isUrl(text);

/** A path in a volume: Kubernetes refuses a subPath that leaves it. */
function isClaim(uri: string): boolean {
  const [, claim = '', path = ''] = /^pvc:\/\/([^/]+)\/?(.*)$/i.exec(uri) ?? [];
  return OBJECT_NAME.test(claim) && !path.startsWith('/') && !path.split('/').includes('..');
}

/** Whether the loader can make a request, or a volume, of it. */
function isLoadable(uri: string): boolean {
  const scheme = schemeOf(uri);
  if (scheme === 'https') return isUrl(uri);
  return scheme === 'pvc' ? isClaim(uri) : true;
}

function hasRest(uri: string): boolean {
  const scheme = schemeOf(uri);
  if (scheme === undefined) return false;
  if (scheme === 'file') return filePathOf(uri) !== '';
  return /^[a-z0-9]+:\/\/[^\s/]+/i.test(uri) && !/[\s\0]/.test(uri);
}

/** Schemes whose path is put into a URL or below a mount, where `..` would escape. */
const REMOTE: ReadonlySet<Scheme | undefined> = new Set(['https', 's3', 'gs', 'hf', 'oci', 'pvc']);

/** No segment is `.` or `..`, in any encoding: parsers resolve them at different moments. */
function hasPlainPath(uri: string): boolean {
  if (!REMOTE.has(schemeOf(uri))) return true;
  const rest = uri.replace(/^[a-z0-9]+:\/\//i, '');
  // Only a URL has a query; in other schemes the characters belong to the name.
  const path = schemeOf(uri) === 'https' ? rest.replace(/[?#].*$/s, '') : rest;
  const decoded = path.replace(/%(2e|2f|5c)/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return !decoded.split(/[/\\@]/).some((segment) => segment === '.' || segment === '..');
}

/** Names of the hub become a part of a path. */
function hasHubName(uri: string): boolean {
  return schemeOf(uri) !== 'hf' || /^hf:\/\/[\w.-]+\/[\w.-]+(?:@|\/|$)/i.test(uri);
}

const uriSchema = z
  .string()
  .min(1)
  .max(2048)
  .refine(hasRest, {
    error: `an artifact URI: ${EXAMPLES}; write one of these`,
    abort: true,
  })
  .refine(hasBucket, {
    error: `s3://bucket/key or gs://bucket/key, the bucket of letters, digits, dots, dashes and underscores only; write the bucket’s name`,
  })
  .refine(isLoadable, {
    error: `https://host/path, or pvc://claim/path with a path inside the claim; correct the URI`,
  })
  .refine(hasPlainPath, {
    error: 'a path without the segments . and .., escaped or not; write it plainly',
  })
  .refine(hasHubName, {
    error: 'hf://organization/name@revision, in letters, digits, . _ and -; fix the name',
  })
  .describe(`Artifact URI: ${EXAMPLES}.`);

const secretNameSchema = z
  .string()
  .max(MAX_OBJECT_NAME)
  .regex(OBJECT_NAME, 'the name of a Secret in the model’s namespace; fix the name');

/** Bytes that `discover` read for a `file` source; never part of the stored definition. */
export interface FileContent {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Hex digest of the bytes. */
  readonly sha256: string;
  /** Number of bytes of a large file, whose bytes are read on demand. */
  readonly size?: number;
  /** The bytes of a large file in pieces: read at once they would block the event loop. */
  readonly pieces?: () => AsyncIterable<Uint8Array>;
  /** Digest of the file itself, when `bytes` includes weights of other files. */
  readonly fileSha256?: string;
  /** Reason to doubt that it is a model, where that is not certain; reported as a finding. */
  readonly doubt?: ArtifactFault;
}

/** The digest of a file as `sha256sum` shows it. */
export function fileDigest({ fileSha256, sha256 }: FileContent): string {
  return fileSha256 ?? sha256;
}

const sourceObjectSchema = z.strictObject({
  uri: uriSchema,
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, '64 lower-case hex digits; run sha256sum on the artifact')
    .optional()
    .describe('SHA-256 of the artifact; checked after the download.'),
  size: memorySchema
    .optional()
    .describe('Size of the artifact, e.g. 14Gi: the start-up budget is checked against it.'),
  credentials: z
    .strictObject({
      secret: secretNameSchema.describe('Secret in the namespace of the model.'),
    })
    .optional()
    .describe('Secret whose keys become the downloader’s environment.'),
  endpoint: z
    .string()
    .refine(isHttpUrl, { error: 'an http(s) URL; write the endpoint of the object store' })
    .optional()
    .describe('Endpoint of an S3-compatible store.'),
  ca: secretNameSchema.optional().describe('Secret with ca.crt for the endpoint.'),
});

export const sourceSchema = z
  .union([uriSchema, sourceObjectSchema], {
    error: `an artifact URI or { uri, … }: ${EXAMPLES}; write one of these`,
  })
  .transform((source) => {
    const given = typeof source === 'string' ? { uri: source } : source;
    return { ...given, scheme: schemeOf(given.uri) ?? 'file' } as Source;
  })
  .describe('Where the artifact (the trained model) comes from.');

export interface Source extends z.output<typeof sourceObjectSchema> {
  readonly scheme: Scheme;
  /** Set by `discover` for `file` sources (see `withFiles`). */
  readonly content?: FileContent;
}

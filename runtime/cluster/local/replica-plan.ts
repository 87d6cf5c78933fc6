import type { Arm, ModelSpec } from '../../../lib/spec';
import { onnxArguments, quantityValue } from '../../../lib/spec';
import { ClusterError } from '../port';
import { sha256 } from './files';

/** How the built-in ONNX server is started; arguments of the arm follow. */
export interface SpawnServer {
  readonly command: string;
  readonly args: readonly string[];
}

/** Times of a replica's health checks and shutdown, in milliseconds. */
export interface ReplicaTimes {
  /** Budget to load the model. */
  readonly startupMs: number;
  /** Between health checks. */
  readonly periodMs: number;
  /** Between "no new requests" and SIGTERM. */
  readonly preStopMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly graceMs: number;
}

/** Added to the longest request between SIGTERM and SIGKILL. */
const END_MS = 5000;

function timesOf({ health, inference }: ModelSpec, preStopMs: number): ReplicaTimes {
  return {
    startupMs: health.startupSeconds * 1000,
    periodMs: health.periodSeconds * 1000,
    preStopMs,
    graceMs: inference.timeoutSeconds * 1000 + END_MS,
  };
}

/** How a process of an arm is started. */
export interface ReplicaPlan {
  readonly name: string;
  readonly version: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Digest of arguments and environment; a change requires a restart. */
  readonly fingerprint: string;
  readonly times: ReplicaTimes;
  /** The file it loads, and its URI in the definition, which messages show. */
  readonly artifact: { readonly file: string; readonly uri: string };
}

function refusal(spec: ModelSpec, arm: Arm, problem: string): ClusterError {
  const where = arm.name === 'stable' ? `model ${spec.id}` : `candidate ${arm.name} of ${spec.id}`;
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `${where} cannot run here: ${problem}; set source to a .onnx file, or name servers that already run in local.endpoints.${spec.id}.${arm.name}, or apply dist/ to Kubernetes (POST …/deploy?dry_run=true shows its objects)`,
  );
}

/**
 * Variables that change which code a process loads or who may debug it. In a pod they reach only
 * that pod; here they would give a writer of definitions this machine.
 */
const LOADER_VARIABLES = /^(NODE_|LD_|DYLD_|OPENSSL_)/i;

/** Why an arm cannot run as a process of this machine; undefined: it can. */
function obstacleOf({ server, source, env, image }: Arm, loads: boolean): string | undefined {
  if (server.kind === 'custom' && image !== undefined) {
    return `it runs in its own image (${image}), and a local cluster runs no containers`;
  }
  if (server.kind !== 'onnx') {
    return `it needs the server ${server.kind}, this cluster runs ONNX models`;
  }
  if (source === undefined)
    return 'its model is in an image, and a local cluster runs no containers';
  if (source.scheme === 'pvc') {
    return 'its artifact is in a volume of Kubernetes';
  }
  if (source.scheme !== 'file' && !loads) {
    return `its artifact is at ${source.scheme}://, and only files are loaded`;
  }
  const secret = Object.entries(env).find(([, value]) => typeof value !== 'string');
  if (secret !== undefined) {
    return `environment_variables.${secret[0]} refers to a Secret, which a local cluster does not have`;
  }
  const loader = Object.keys(env).find((name) => LOADER_VARIABLES.test(name));
  if (loader === undefined) return undefined;
  return `environment_variables.${loader} changes what the server program itself loads`;
}

/**
 * @param loads whether this service loads artifacts from elsewhere
 * @throws ClusterError that says what the arm needs
 */
export function checkRunnable(spec: ModelSpec, arm: Arm, loads = false): void {
  const obstacle = obstacleOf(arm, loads);
  if (obstacle !== undefined) throw refusal(spec, arm, obstacle);
}

/** Whole cores of the request, at least one. */
const threadsOf = ({ resources }: Arm): number =>
  Math.max(1, Math.floor(quantityValue(resources.cpu ?? '1')));

/** How a process of this arm is started with the artifact `file`. */
export function replicaPlanOf(
  spec: ModelSpec,
  arm: Arm,
  file: string,
  preStopMs: number,
): ReplicaPlan {
  const { server } = arm;
  if (server.kind !== 'onnx') throw new Error('checkRunnable lets no other server through');
  const place = {
    id: spec.id,
    version: arm.version,
    file,
    host: '127.0.0.1',
    port: 0,
    threads: threadsOf(arm),
  };
  const args = [...onnxArguments(place, server, spec.inference), '--parent-guard'];
  const env = arm.env as Readonly<Record<string, string>>;
  const fingerprint = sha256(JSON.stringify([args, Object.entries(env).sort()]));
  const times = timesOf(spec, preStopMs);
  const artifact = { file, uri: arm.source?.uri ?? file };
  return { name: arm.name, version: arm.version, args, env, fingerprint, times, artifact };
}

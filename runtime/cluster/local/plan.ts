import { isAbsolute, relative, resolve } from 'node:path';
import { realpathSync, statSync } from 'node:fs';
import type { Arm, ModelSpec } from '../../../lib/spec';
import { filePathOf, quantityValue } from '../../../lib/spec';
import { ClusterError } from '../port';
import { sha256 } from './files';

/** Largest file that is read from the models folder: more would not fit in memory beside the model. */
const MAX_ARTIFACT_BYTES = 2 ** 31;

/** How the built-in ONNX server is started; arguments of the arm follow. */
export interface SpawnServer {
  readonly command: string;
  readonly args: readonly string[];
}

/** How a replica is watched and ended. Milliseconds. */
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

/** SIGTERM to SIGKILL: the longest request, and a little for the end itself. */
const END_MS = 5000;

function timesOf({ health, inference }: ModelSpec, preStopMs: number): ReplicaTimes {
  return {
    startupMs: health.startupSeconds * 1000,
    periodMs: health.periodSeconds * 1000,
    preStopMs,
    graceMs: inference.timeoutSeconds * 1000 + END_MS,
  };
}

/** Everything a process of an arm is started with. Equal plans need no restart. */
export interface ArmPlan {
  readonly name: string;
  readonly version: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Digest of all that a running process cannot change. */
  readonly fingerprint: string;
  readonly times: ReplicaTimes;
}

function refusal(spec: ModelSpec, arm: Arm, problem: string): ClusterError {
  const where = arm.name === 'stable' ? `model ${spec.id}` : `candidate ${arm.name} of ${spec.id}`;
  return new ClusterError(
    'INVALID_MODEL_CONFIG',
    `${where} cannot run here: ${problem}; set source to a .onnx file, or name servers that already run in local.endpoints.${spec.id}.${arm.name}, or apply dist/ to Kubernetes`,
  );
}

/** @throws ClusterError with a sentence that says what the arm would need */
export function checkRunnable(spec: ModelSpec, arm: Arm): void {
  if (arm.server.kind !== 'onnx') {
    throw refusal(
      spec,
      arm,
      `it needs the server ${arm.server.kind}, this cluster runs ONNX models`,
    );
  }
  if (arm.source === undefined) {
    throw refusal(spec, arm, 'it brings its model in an image, and there are no containers');
  }
  if (arm.source.scheme !== 'file') {
    throw refusal(
      spec,
      arm,
      `its artifact is at ${arm.source.scheme}://, and only files are loaded`,
    );
  }
  const secret = Object.entries(arm.env).find(([, value]) => typeof value !== 'string');
  if (secret !== undefined) {
    throw refusal(
      spec,
      arm,
      `environment_variables.${secret[0]} wants a Secret, and there is none`,
    );
  }
}

/**
 * The real path of a `file` source of a definition that came by REST: inside the models folder,
 * links followed.
 * @throws ClusterError when it is elsewhere or not there
 */
export function fileInside(folder: string, uri: string): string {
  const refuse = (problem: string): ClusterError =>
    new ClusterError(
      'INVALID_MODEL_CONFIG',
      `repository_url: got "${uri}", ${problem}; put the file into the models folder and name it relative to that`,
    );
  const wanted = resolve(folder, filePathOf(uri));
  let real: string;
  try {
    real = realpathSync(wanted);
  } catch {
    throw refuse('which is not there');
  }
  const below = relative(realpathSync(folder), real);
  if (below.startsWith('..') || isAbsolute(below))
    throw refuse('which is outside the models folder');
  const { size } = statSync(real);
  if (size > MAX_ARTIFACT_BYTES) throw refuse(`which has ${size} bytes, at most 2 GiB are loaded`);
  return real;
}

const flag = (name: string, value: number | undefined): readonly string[] =>
  value === undefined ? [] : [`--${name}`, String(value)];

/** Whole cores of the request, at least one: more threads than cores only wait for each other. */
function threadsOf({ server, resources }: Arm): number {
  const given = server.kind === 'onnx' ? server.intraOpThreads : undefined;
  return given ?? Math.max(1, Math.floor(quantityValue(resources.cpu ?? '1')));
}

/** How a process of this arm is started with the artifact `file`. */
export function planOf(spec: ModelSpec, arm: Arm, file: string, preStopMs: number): ArmPlan {
  const { maxConcurrency, maxQueueDepth, maxBodyBytes, batching, timeoutSeconds } = spec.inference;
  const interOp = arm.server.kind === 'onnx' ? arm.server.interOpThreads : undefined;
  const args = [
    'serve-onnx',
    `--model=${spec.id}=${file}`,
    `--model-version=${arm.version}`,
    '--host=127.0.0.1',
    '--port=0',
    '--parent-guard',
    ...flag('threads', threadsOf(arm)),
    ...flag('inter-op-threads', interOp),
    ...flag('max-concurrency', maxConcurrency),
    ...flag('max-queue-depth', maxQueueDepth),
    ...flag('max-body-bytes', maxBodyBytes),
    ...flag('timeout-ms', timeoutSeconds * 1000),
    ...flag('max-batch-size', batching?.maxSize),
    ...flag('max-delay-ms', batching?.maxDelayMs),
  ];
  const env = arm.env as Readonly<Record<string, string>>;
  const fingerprint = sha256(JSON.stringify([args, Object.entries(env).sort()]));
  const times = timesOf(spec, preStopMs);
  return { name: arm.name, version: arm.version, args, env, fingerprint, times };
}

import type { Arm, Environment, ModelSpec, ServerOf } from '../spec';
import { onnxArguments, quantityValue } from '../spec';
import { artifactPath } from './artifact';
import { factsOf } from './context';
import { modelFolder } from './layout';
import { MONITORING_CONFIG } from './serverconfig';

/** Entry point and arguments of a container; absent: the image's own. */
export interface CommandLine {
  readonly command?: readonly string[];
  readonly args?: readonly string[];
}

/** `--name=value`; an undefined value is left out. */
function flags(values: Readonly<Record<string, string | number | boolean | undefined>>): string[] {
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === false
      ? []
      : [value === true ? `--${name}` : `--${name}=${value}`],
  );
}

/** Threads for one operator: the requested cores, not the cores of the node. */
function threadsFor(arm: Arm, environment: Environment): number {
  return Math.max(
    1,
    Math.ceil(quantityValue(arm.resources.cpu ?? environment.defaultResources.cpu)),
  );
}

function onnx(spec: ModelSpec, arm: Arm, server: ServerOf<'onnx'>, environment: Environment) {
  const file = artifactPath(spec, arm);
  if (file === undefined) return {};
  const place = {
    id: spec.id,
    version: arm.version,
    file,
    host: '0.0.0.0',
    port: factsOf(spec, arm).httpPort,
    threads: threadsFor(arm, environment),
  };
  return { command: ['ai-model-service'], args: onnxArguments(place, server, spec.inference) };
}

function tensorflowServing(spec: ModelSpec, arm: Arm, server: ServerOf<'tensorflow-serving'>) {
  const facts = factsOf(spec, arm);
  return {
    command: ['tensorflow_model_server'],
    args: flags({
      port: facts.grpcPort,
      rest_api_port: facts.httpPort,
      rest_api_timeout_in_ms: spec.inference.timeoutSeconds * 1000,
      model_name: spec.id,
      model_base_path: modelFolder(spec),
      monitoring_config_file: MONITORING_CONFIG,
      enable_batching: server.batching,
    }),
  };
}

function triton(spec: ModelSpec, arm: Arm) {
  const facts = factsOf(spec, arm);
  return {
    command: ['tritonserver'],
    args: flags({
      'model-repository': modelFolder(spec).slice(0, modelFolder(spec).lastIndexOf('/')),
      'http-port': facts.httpPort,
      'grpc-port': facts.grpcPort,
      'metrics-port': facts.metrics.port,
      'exit-timeout-secs': spec.inference.timeoutSeconds,
    }),
  };
}

// vLLM has `--shutdown-timeout` from 0.18 on; without it SIGTERM aborts requests.
function vllm(spec: ModelSpec, arm: Arm, server: ServerOf<'vllm'>) {
  return {
    command: ['vllm', 'serve'],
    args: [
      modelFolder(spec),
      ...flags({
        'served-model-name': spec.id,
        host: '0.0.0.0',
        port: factsOf(spec, arm).httpPort,
        'shutdown-timeout': spec.inference.timeoutSeconds,
        'tensor-parallel-size': server.tensorParallelSize,
        'max-model-len': server.maxModelLen,
        'gpu-memory-utilization': server.gpuMemoryUtilization,
        dtype: server.dtype,
        quantization: server.quantization,
      }),
    ],
  };
}

/**
 * The command line of a server that loads an artifact; images with the model in it start by
 * themselves.
 */
function generated(spec: ModelSpec, arm: Arm, environment: Environment): CommandLine {
  const { server, source } = arm;
  if (source === undefined) return {};
  switch (server.kind) {
    case 'onnx':
      return onnx(spec, arm, server, environment);
    case 'tensorflow-serving':
      return tensorflowServing(spec, arm, server);
    case 'triton':
      return triton(spec, arm);
    case 'mlserver':
      return { command: ['mlserver'], args: ['start', modelFolder(spec)] };
    case 'vllm':
      return vllm(spec, arm, server);
    case 'custom':
      return {};
  }
}

/** A `command` of the definition replaces the whole line; its `args` alone are added at the end. */
export function commandOf(spec: ModelSpec, arm: Arm, environment: Environment): CommandLine {
  const { command, args = [] } = spec;
  const line = command === undefined ? generated(spec, arm, environment) : { command };
  const all = [...((line as CommandLine).args ?? []), ...args];
  return {
    ...(line.command !== undefined && { command: line.command }),
    ...(all.length > 0 && { args: all }),
  };
}

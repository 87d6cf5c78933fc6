import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Synthesis } from '../../lib/synth';
import type { Config } from '../../runtime/app/config';
import type { Service } from '../../runtime/app/service';
import type { ServiceOptions } from '../../runtime/app/service-options';
import { CommandError } from '../exit';
import type { Io } from '../io';
import type { CommandContext } from '../command-context';
import { findingLines } from '../report';
import { VERSION } from '../version';
import { loadProject, outFolder, previousOf, synthLibrary, today } from './project';
import { listeningEvent, openService, placesOf, readConfig, showKey, untilSignal } from './serve';
import { MAX_PORT, wholeNumber } from './serve-onnx';
import { entryOf, setEntry } from '../../lib/spec/entry';

interface Options {
  readonly port: number;
  readonly host: string;
  readonly config?: string;
  readonly synth?: string;
}

/** After this time the status is printed even if a model is not ready. */
const SHOWN_AFTER_MS = 20_000;
const LOOK_MS = 50;

async function manifestsOf(out: string, folder: string, io: Io): Promise<Synthesis> {
  const { definitions, environments } = await loadProject(folder, {}, io);
  const options = { today: today(io), previous: previousOf(out, io) };
  return synthLibrary().synthesize(definitions, environments, options);
}

async function synthesizeTo(out: string, folder: string, io: Io): Promise<void> {
  const { files, findings } = await manifestsOf(out, folder, io);
  for (const line of findingLines(findings)) io.err(`${line}\n`);
  const { written, removed } = synthLibrary().writeManifests(resolve(io.cwd, out), files);
  for (const file of written) io.err(`${out}/${file} written\n`);
  for (const file of removed) io.err(`${out}/${file} removed\n`);
}

/** Reports manifests that are out of date. */
async function compareWith(out: string, folder: string, io: Io): Promise<void> {
  const path = resolve(io.cwd, out);
  if (!existsSync(path)) return;
  const { files } = await manifestsOf(out, folder, io);
  if (synthLibrary().checkManifests(path, files).length === 0) return;
  io.err(`${out}/ was not written; run: ai-model-service synth ${folder}, or dev --synth ${out}\n`);
}

/** Writes manifests when definitions change; when that fails, running models stay. */
async function followManifests(
  folder: string,
  { synth }: Options,
  io: Io,
  hasFaults: boolean,
): Promise<void> {
  // The log has reported them.
  if (hasFaults) {
    if (synth !== undefined) io.err(`${synth}/ was not written: definitions have faults\n`);
    return;
  }
  try {
    await (synth === undefined
      ? compareWith(outFolder(undefined, io), folder, io)
      : synthesizeTo(synth, folder, io));
  } catch (error) {
    io.err(`manifests were not written:\n${(error as Error).message}\n`);
  }
}

function configOf(folder: string, { host, port, config: file }: Options, io: Io): Config {
  // KUBERNETES_NAMESPACE, which is meant for kubectl, must not deploy the models of a laptop.
  const config = readConfig(file, { ...io, env: { ...io.env, KUBERNETES_NAMESPACE: undefined } });
  if (!existsSync(resolve(io.cwd, folder))) {
    throw new CommandError(
      `${folder}: no such folder; ai-model-service init FOLDER writes a small project`,
    );
  }
  return {
    ...config,
    // A laptop has no load balancer to wait for at the end.
    server: { ...config.server, host, port, acceptSeconds: 0 },
    models: { ...config.models, directory: folder, watch: true },
    logging: { ...config.logging, format: 'text', level: 'info' },
  };
}

const isSettled = (service: Service): boolean =>
  [...service.snapshot().models.values()].every(({ arms }) =>
    arms.every(({ ready, desired, why }) => ready >= desired || why !== undefined),
  );

async function settle(service: Service): Promise<void> {
  for (let waited = 0; waited < SHOWN_AFTER_MS && !isSettled(service); waited += LOOK_MS) {
    await sleep(LOOK_MS);
  }
}

function modelLines(service: Service): readonly string[] {
  const models = [...service.snapshot().models.values()];
  const width = Math.max(0, ...models.map(({ spec }) => spec.id.length));
  return models.map(({ spec, arms }) => {
    const parts = arms.map(({ name, version, ready, desired, why }) => {
      const role = spec.arms.find((arm) => arm.name === name)?.role;
      const share = role?.kind === 'rollout' ? 'rollout' : `${role?.kind} ${role?.percent} %`;
      const state = ready >= desired ? 'ready' : (why?.message ?? 'starting');
      return `${version} (${share}) ${state}`;
    });
    return `  ${spec.id.padEnd(width)}  ${parts.join(', ')}\n`;
  });
}

interface Input {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

/** A valid value for an input: one row, dynamic sizes as one. */
function sampleOf({ datatype, shape }: Input): unknown {
  const value = datatype === 'BYTES' ? 'text' : datatype === 'BOOL' ? true : 1;
  const dims = shape.slice(1).map((size) => (size < 0 ? 1 : size));
  const single =
    dims.every((size) => size === 1) && shape.every((size, at) => at === 0 || size > 0);
  if (single) return value;
  return dims.reduceRight<unknown>(
    (inner, size) => Array.from({ length: size }, () => inner),
    value,
  );
}

/** `patient_info.age` goes below `patient_info`. */
function place(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key = '', ...rest] = path;
  if (rest.length === 0) return setEntry(target, key, value);
  const inner = entryOf(target, key) ?? {};
  setEntry(target, key, inner);
  place(inner as Record<string, unknown>, rest, value);
}

/** Input of a native call for these inputs. */
export function sampleData(inputs: readonly Input[]): object {
  const data: Record<string, unknown> = {};
  for (const input of inputs) place(data, input.name.split('.'), sampleOf(input));
  return data;
}

/** A request body to try: the project's own example, else one made from the model's inputs. */
async function exampleBody(url: string, id: string, io: Io): Promise<string | undefined> {
  const own = join(io.cwd, 'examples', 'requests', `${id}.json`);
  if (existsSync(own)) return JSON.stringify(JSON.parse(readFileSync(own, 'utf8')));
  const response = await fetch(`${url}/v2/models/${id}`).catch(() => undefined);
  if (response?.ok !== true) return undefined;
  const { inputs } = (await response.json()) as { readonly inputs: readonly Input[] };
  return JSON.stringify({ input_data: sampleData(inputs) });
}

async function show(service: Service, io: Io): Promise<void> {
  const { url } = service;
  io.out(`ai-model-service ${VERSION} on ${placesOf(service)}\n${modelLines(service).join('')}`);
  const ready = [...service.snapshot().models.values()].find(({ arms }) => arms[0]?.ready);
  const id = ready?.spec.id;
  const body = id === undefined ? undefined : await exampleBody(url, id, io);
  if (body !== undefined) {
    const data = body.replaceAll("'", "'\\''");
    io.out(
      `\nTry:\n  curl ${url}/api/v1/models/${id}/inference -H 'content-type: application/json' \\\n    -d '${data}'\n`,
    );
  }
  io.out(`\nAPI: ${url}/docs   Stop: Ctrl-C\n`);
}

export function addDev(program: Command, { io, format }: CommandContext): void {
  program
    .command('dev')
    .description('Serve the models of a folder on this machine; follow changes of its files.')
    .argument('[folder]', 'definitions', 'models')
    .option('--port <port>', 'port; 0 lets the kernel choose', wholeNumber(0, MAX_PORT), 8080)
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--synth <folder>', 'write the manifests there as well')
    .addHelpText('after', '\nExample:\n  ai-model-service dev models --port 9000')
    .action(async (folder: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<Options>();
      if (options.synth !== undefined) await synthesizeTo(options.synth, folder, io);
      const follow: ServiceOptions['onModelsChanged'] = ({ broken }) =>
        followManifests(folder, options, io, broken.length > 0);
      const service = await openService(configOf(folder, options, io), io, follow);
      const ended = untilSignal(service, io);
      showKey(service, io);
      await settle(service);
      if (format() === 'json') {
        io.out(listeningEvent(service));
      } else await show(service, io);
      await ended;
    });
}

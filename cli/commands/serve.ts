import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { Config } from '../../runtime/app/config';
import type * as Configuration from '../../runtime/app/config';
import type * as Logging from '../../runtime/app/log';
import type { ModelsFolderOptions } from '../../runtime/app/models-folder';
import type * as Main from '../../runtime/app/service';
import type { Service } from '../../runtime/app/service';
import { DefinitionError } from '../../lib/spec';
import { didYouMean } from '../../lib/spec/closest';
import { hostKind } from '../../lib/spec/hosts';
import { checkedText } from '../../lib/synth/textfile';
import type { FetchSource } from '../../runtime/cluster/local';
import type * as Fetch from '../fetch/fetch';
import { CommandError, EXIT } from '../exit';
import type { Io } from '../io';
import type { CommandContext } from '../command-context';
import { VERSION } from '../version';
import { MAX_PORT, wholeNumber } from './serve-onnx';

interface Options {
  readonly config?: string;
  readonly port?: number;
}

/** The folder that `build` puts beside the bundle; a checkout uses its dependencies. */
function docsAssets(): string | undefined {
  const folder = join(__dirname, 'docs-assets');
  return existsSync(folder) ? folder : undefined;
}

/** @throws CommandError when the file is not UTF-8 */
function configText(path: string, file: string): string {
  try {
    return checkedText(readFileSync(path), file);
  } catch (error) {
    throw error instanceof DefinitionError ? new CommandError(error.message) : error;
  }
}

export function readConfig(file: string | undefined, io: Io): Config {
  const { parseConfig } = require('../../runtime/app/config') as typeof Configuration;
  if (file === undefined) return parseConfig('', io.env, 'the environment');
  const path = resolve(io.cwd, file);
  if (!existsSync(path)) {
    throw new CommandError(`${file}: no such file; start from config/config.example.yaml`);
  }
  return parseConfig(configText(path, file), io.env, file);
}

/** Variables that the loader needs and that hold no credentials. */
const PROXY = /^(?:https?_proxy|no_proxy|all_proxy|node_extra_ca_certs|ssl_cert_(?:file|dir))$/i;

/** Private hosts that a definition names; a public name may resolve to any address. */
function hostsOf({ uri, endpoint = '' }: Parameters<FetchSource>[0]['source']): string[] {
  const urls = [uri.replace(/^oci:/i, 'https:'), endpoint];
  const hosts = urls.flatMap((url) =>
    /^https?:/i.test(url) && URL.canParse(url) ? [new URL(url).hostname] : [],
  );
  return hosts.filter((host) => hostKind(host) === 'loopback');
}

/** The loader that pods use; its HTTP client is loaded with the first artifact. */
function fetchSourceOf({ env }: Io, { models }: Config): FetchSource {
  const plain = Object.fromEntries(Object.entries(env).filter(([name]) => PROXY.test(name)));
  return ({ source, trusted }, place, log) => {
    const { fetchArtifact } = require('../fetch/fetch') as typeof Fetch;
    const { uri, sha256, endpoint } = source;
    const { allowedHosts = [] } = models;
    // The owner of this machine may run a store on it.
    const allowHost = trusted ? [...allowedHosts, ...hostsOf(source)] : allowedHosts;
    return fetchArtifact(
      { uri, sha256, endpoint, allowHost, ...place },
      { env: trusted ? env : plain, log },
    );
  };
}

export function openService(
  config: Config,
  io: Io,
  onModelsChanged?: ModelsFolderOptions['onModelsChanged'],
): Promise<Service> {
  const { createLog } = require('../../runtime/app/log') as typeof Logging;
  const { startService } = require('../../runtime/app/service') as typeof Main;
  const entry = process.argv[1] ?? '';
  return startService({
    config,
    cwd: io.cwd,
    env: io.env,
    // Model servers run this program with the same module loader (when it runs from source).
    spawnServer: { command: process.execPath, args: [...process.execArgv, entry] },
    fetchSource: fetchSourceOf(io, config),
    version: VERSION,
    log: createLog(config.logging),
    docsAssets: docsAssets(),
    onModelsChanged,
  });
}

/**
 * Resolves when the service has ended after SIGTERM or SIGINT; a second signal ends it at once.
 * SIGHUP reads again what may change while it runs.
 */
export function untilSignal(service: Service, io: Io): Promise<void> {
  return new Promise((done, fail) => {
    let ending = false;
    const end = (): void => {
      if (ending) process.exit(1);
      ending = true;
      io.err(
        'stopping: running requests are finished first; send the signal again to end at once\n',
      );
      service.close().then(done, fail);
    };
    process.on('SIGTERM', end);
    process.on('SIGINT', end);
    process.on('SIGHUP', () => void service.reload());
  });
}

/** One line of JSON for programs that start the service. */
export function listeningEvent({ url, grpcAddress }: Service): string {
  const grpc = grpcAddress === undefined ? {} : { grpc_address: grpcAddress };
  return `${JSON.stringify({ event: 'listening', url, ...grpc })}\n`;
}

/** Addresses of the service, for people. */
export function placesOf({ url, grpcAddress }: Service): string {
  return grpcAddress === undefined ? url : `${url}, gRPC on ${grpcAddress}`;
}

export function showKey({ generatedKey }: Service, io: Io): void {
  if (generatedKey === undefined) return;
  io.err(
    `No key is configured, so one was made for this run (admin, header X-API-Key):\n${generatedKey}\n`,
  );
}

function serve(context: CommandContext): (options: Options) => Promise<void> {
  return async ({ config: file, port }) => {
    const { io, format } = context;
    const config = readConfig(file, io);
    const server = { ...config.server, port: port ?? config.server.port };
    const service = await openService({ ...config, server }, io);
    showKey(service, io);
    if (format() === 'json') io.out(listeningEvent(service));
    else io.err(`ai-model-service ${VERSION} on ${placesOf(service)}\n`);
    await untilSignal(service, io);
  };
}

function unknownCommand(given: string, { commands }: Command): CommandError {
  const names = commands.map((one) => one.name());
  const hint = didYouMean(given, names) ?? `there are ${names.join(', ')}`;
  return new CommandError(`unknown command ${given}; ${hint}`, EXIT.usage);
}

export function addServe(program: Command, context: CommandContext): void {
  const run = serve(context);
  program
    .option('--config <file>', 'configuration of the service')
    // Without this a mistyped command is "too many arguments".
    .allowExcessArguments()
    .action(async (options: Options, command: Command) => {
      const [unknown] = command.args;
      if (unknown !== undefined) throw unknownCommand(unknown, program);
      if (options.config === undefined) return command.help();
      return run(options);
    });
  program
    .command('serve')
    .description('The service: inference, management, health.')
    .option(
      '--port <port>',
      'instead of server.port of the configuration',
      wholeNumber(0, MAX_PORT),
    )
    .addHelpText(
      'after',
      '\nExample:\n  ai-model-service serve --config config/config.yaml --port 9000',
    )
    .action((_: unknown, command: Command) => run(command.optsWithGlobals<Options>()));
}

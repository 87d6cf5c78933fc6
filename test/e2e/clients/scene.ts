import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../support/sources';
import type { Beside } from '../beside';
import { writeConfig, writeDefinition } from '../beside';
import type { Running } from '../service';
import { call, start, until, workspace } from '../service';
import { startNative } from './native-server';
import type { ToolServer } from './openai-server';
import { startOpenai } from './openai-server';
import type { PackedServer } from './packed-server';
import { startPacked } from './packed-server';

// What all clients call: the service as it is shipped with the product's models, a few small ones
// that give their input back, and servers of other protocols beside it.

/** Files of the models that both the service and the server that is asked directly have. */
const ONNX: Readonly<Record<string, string>> = {
  health_assessment: join(ROOT, 'models', 'health_assessment-v2.0.0.onnx'),
  texts: join(ROOT, 'test', 'onnx', 'fixtures', 'identity_string.onnx'),
  longs: join(ROOT, 'test', 'onnx', 'fixtures', 'identity_int64.onnx'),
  floats: join(ROOT, 'test', 'onnx', 'fixtures', 'batchable.onnx'),
};
/** Of the product's model, which both say of themselves. */
const VERSION = 'v2.0.0';

export interface Scene {
  readonly service: Running;
  /** `host:port` of gRPC. */
  readonly grpc: string;
  /** The built-in model server, asked without a router before it. */
  readonly direct: string;
  readonly openai: ToolServer;
  readonly native: ToolServer;
  /** A V2 server that packs what it says. */
  readonly packed: PackedServer;
  readonly folder: string;
  readonly end: () => Promise<void>;
}

interface Direct {
  readonly url: string;
  readonly end: () => Promise<void>;
}

async function startDirect(): Promise<Direct> {
  const models = Object.entries(ONNX).flatMap(([name, file]) => ['--model', `${name}=${file}`]);
  const bin = join(ROOT, 'build', 'bin.cjs');
  const args = [bin, 'serve-onnx', ...models, '--model-version', VERSION, '--port', '0'];
  const child = spawn(process.execPath, [...args, '--parent-guard'], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => void (said += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => void (said += chunk.toString()));
  const listening = /"port":(\d+)/;
  const heard = (): string => said;
  await until('the model server listens', heard, (text) => listening.test(text), 60_000);
  const end = async (): Promise<void> => {
    const gone = once(child, 'exit');
    child.kill('SIGTERM');
    await gone;
  };
  return { url: `http://127.0.0.1:${listening.exec(said)?.[1]}`, end };
}

function writeOnnx(folder: string): void {
  const models = join(folder, 'models');
  for (const [id, file] of Object.entries(ONNX)) {
    if (id === 'health_assessment') continue;
    copyFileSync(file, join(models, `${id}.onnx`));
    writeFileSync(
      join(models, `${id}.yaml`),
      `model_id: ${id}\nversion: ${VERSION}\nframework: onnx\n`,
    );
  }
}

/** All models have their replicas. */
async function settled({ url }: Running, key: string): Promise<void> {
  type Seen = readonly { readonly status: string }[];
  const list = () =>
    call(`${url}/api/v1/models`, 'GET', undefined, undefined, { 'x-api-key': key });
  await until(
    'all models run',
    async () => (await list()).json().models as Seen,
    (models) => models.length > 0 && models.every(({ status }) => status === 'running'),
    120_000,
  );
}

interface Options {
  /** The only one that may call; without it everybody may. */
  readonly key?: string;
  /** Models that a test brings up itself, later. */
  readonly later?: readonly Beside[];
}

export async function startScene({ key, later = [] }: Options = {}): Promise<Scene> {
  const place = workspace();
  const { folder } = place;
  const [openai, native, direct] = await Promise.all([startOpenai(), startNative(), startDirect()]);
  const packed = await startPacked(direct.url);
  let service: Running | undefined;
  const end = async (): Promise<void> => {
    await service?.end('SIGTERM');
    await Promise.all([direct.end(), openai.close(), native.close(), packed.close()]);
    place.remove();
  };
  try {
    const beside = [
      { id: 'chat', protocol: 'openai', address: openai.address },
      { id: 'own', protocol: 'native', address: native.address },
      { id: 'packed', protocol: 'v2', address: packed.address },
    ] as const;
    writeOnnx(folder);
    for (const one of beside) writeDefinition(folder, one);
    writeConfig(folder, [...beside, ...later], key);
    service = await start(folder, ['--config', 'config.yaml']);
    await settled(service, key ?? '');
    const grpc = /gRPC on (\S+)/;
    const log = await until('gRPC listens', service.log, (said) => grpc.test(said));
    const address = grpc.exec(log)?.[1] ?? '';
    return { service, grpc: address, direct: direct.url, openai, native, packed, folder, end };
  } catch (error) {
    await end();
    throw error;
  }
}

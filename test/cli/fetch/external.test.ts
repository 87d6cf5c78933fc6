import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FetchJob } from '../../../cli/fetch/fetch';
import { missingWeights } from '../../../cli/fetch/external';
import { onnxBytes, WEIGHTS } from '../../support/onnxbytes';
import type { Place, Store } from './support';
import { digest, place, serveBytes, store } from './support';

// An ONNX model that keeps its weights in other files, at a source of which one file is named.

let here: Place;
let source: Store;
let files: Readonly<Record<string, Buffer>>;

beforeEach(async () => {
  here = place();
  source = await store((request, response) => {
    const bytes = files[(request.url ?? '').replace(/\?.*$/, '')];
    if (bytes === undefined) response.writeHead(404).end();
    else serveBytes(request, response, bytes);
  });
});
afterEach(async () => {
  await source.close();
  here.remove();
});

const model = (location: string): Buffer => onnxBytes({ location });

const run = (key: string, more: Partial<FetchJob> = {}): Promise<void> =>
  here.run({ uri: `s3://b/${key}`, endpoint: source.url, as: 'model.onnx', ...more });

test('external weights of a model on a hub are loaded from beside it', async () => {
  const bytes = model('w/a b.data');
  const folder = '/org/name/resolve/main/m';
  files = { [`${folder}/a.onnx`]: bytes, [`${folder}/w/a%20b.data`]: WEIGHTS };
  const uri = 'hf://org/name@main/m/a.onnx';
  await here.run({ uri, endpoint: source.url, as: 'model.onnx' });
  expect(here.read('w/a b.data')).toEqual(WEIGHTS);
  expect(here.read('model.onnx')).toEqual(bytes);
});

test('external weights of a model in a bucket are loaded; a digest covers the model file', async () => {
  const bytes = model('a.data');
  files = { '/models/v1/a.onnx': bytes, '/models/v1/a.data': WEIGHTS };
  await here.run({
    uri: 's3://models/v1/a.onnx',
    endpoint: source.url,
    as: 'model.onnx',
    sha256: digest(bytes),
  });
  expect(here.read('a.data')).toEqual(WEIGHTS);
});

test('external weights of a local model are loaded', async () => {
  const folder = join(here.folder, 'from');
  mkdirSync(folder);
  writeFileSync(join(folder, 'a.onnx'), model('a.data'));
  writeFileSync(join(folder, 'a.data'), WEIGHTS);
  await here.run({ uri: `file:${join(folder, 'a.onnx')}` });
  expect(here.read('a.data')).toEqual(WEIGHTS);
});

test('external weights of a URL are beside it; of a signed URL they are refused with the reason', async () => {
  writeFileSync(join(here.folder, 'a.onnx'), model('a.data'));
  const missing = (uri: string) => missingWeights(uri, here.folder, 'a.onnx');
  expect(await missing('https://h/m/a.onnx')).toEqual([
    { name: 'a.data', uri: 'https://h/m/a.data' },
  ]);
  for (const uri of ['https://h/a.onnx?sig=1', 'oci://h/a.onnx:1']) {
    await expect(missing(uri)).rejects.toThrow(
      /: the model has its weights in a\.data, which is not loaded with it; name the folder or archive that holds both, or save the model in one file \(onnx\.save_model\)$/,
    );
  }
});

test('missing external weights fail the load', async () => {
  files = { '/b/a.onnx': model('a.data') };
  await expect(run('a.onnx')).rejects.toThrow(/a\.data: the source answered 404/);
  expect(here.list()).not.toContain('.artifact.json');
});

test.each(['../a.data', '/etc/a.data', 'w/../../a.data', '.artifact.json'])(
  'external weights named %s are refused before any request',
  async (location) => {
    files = { '/b/m/a.onnx': model(location) };
    await expect(run('m/a.onnx')).rejects.toThrow('may lie outside its folder');
    expect(source.requests).toHaveLength(1);
  },
);

test('a file that is not ONNX is loaded unchanged, whatever its name', async () => {
  files = { '/b/a.onnx': Buffer.from('not protobuf') };
  await run('a.onnx');
  expect(here.read('model.onnx').toString()).toBe('not protobuf');
});

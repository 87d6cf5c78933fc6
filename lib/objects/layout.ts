import type { Arm, ModelSpec, ServerOf, Source } from '../spec';

/** Paths at which a server expects its artifact. */
export interface Layout {
  /** Mount path: of an emptyDir, of a part of a volume, or of one file of a ConfigMap. */
  readonly mount: string;
  /** Folder of the artifact: `mount` or a folder in it. */
  readonly folder: string;
  /** Name of a single file in the folder. Undefined: the server loads a folder. */
  readonly file: string | undefined;
}

/** Root of the models in a pod. The folder below it is the id, because servers name a model by its folder. */
const ROOT = '/models';

/** Archives of folders for servers that load a folder; everything else is a plain file. */
const ARCHIVE = /\.(?:tar|tar\.gz|tgz|zip)$/i;

export function isArchive(uri: string): boolean {
  return ARCHIVE.test(pathOf(uri));
}

/** A URI without query and fragment. */
const pathOf = (uri: string): string => uri.replace(/[?#].*$/, '');

/** The last segment of a URI, e.g. `model.onnx`. */
function baseName(uri: string): string {
  return pathOf(uri).replace(/\/+$/, '').split('/').at(-1) ?? '';
}

/** Extensions of artifacts that are one file; others (`v1.0` in `hf://org/name@v1.0`) mean nothing. */
const FILE_EXTENSION =
  /\.(?:onnx|joblib|pkl|pickle|bst|ubj|json|pt|pth|plan|engine|py|safetensors|gguf|bin|h5|keras)$/i;

export function extensionOf(uri: string): string | undefined {
  return FILE_EXTENSION.exec(baseName(uri))?.[0].toLowerCase();
}

/** The names MLServer finds by itself (`WELLKNOWN_MODEL_FILENAMES` of its runtimes). */
const MLSERVER_EXTENSION: Readonly<Record<string, string>> = {
  sklearn: '.joblib',
  xgboost: '.json',
};

export type TritonBackend = NonNullable<ServerOf<'triton'>['backend']>;

/** File that each backend of Triton loads from a version folder (model_repository.md of Triton). */
const TRITON_FILE: Readonly<Record<TritonBackend, string>> = {
  onnxruntime: 'model.onnx',
  tensorrt: 'model.plan',
  pytorch: 'model.pt',
  tensorflow: 'model.savedmodel',
  python: 'model.py',
};

export function tritonBackend({ framework }: ModelSpec, { backend }: ServerOf<'triton'>) {
  if (backend !== undefined) return backend;
  const byFramework: Readonly<Partial<Record<typeof framework, TritonBackend>>> = {
    onnx: 'onnxruntime',
    tensorrt: 'tensorrt',
    pytorch: 'pytorch',
    tensorflow: 'tensorflow',
  };
  return byFramework[framework] ?? 'python';
}

function tritonLayout(folder: string, backend: TritonBackend): Layout {
  const file = TRITON_FILE[backend];
  const mount = `${folder}/1`;
  return backend === 'tensorflow'
    ? { mount, folder: `${mount}/${file}`, file: undefined }
    : { mount, folder: mount, file };
}

/**
 * An own server finds its file under its original name; a source that may be a folder has no file
 * name.
 */
function ownName(source: Source | undefined): string | undefined {
  if (source === undefined) return undefined;
  const isFile = source.scheme === 'file' || extensionOf(source.uri) !== undefined;
  return isFile && !isArchive(source.uri) ? baseName(source.uri) : undefined;
}

/**
 * The layout of an arm's server. Version folders are always `1`: an arm runs one version, and its
 * label and the router's answers name it.
 */
export function layoutOf(spec: ModelSpec, { server, source }: Arm): Layout {
  const folder = `${ROOT}/${spec.id}`;
  const plain = (mount: string, file: string | undefined): Layout => ({
    mount,
    folder: mount,
    file,
  });
  switch (server.kind) {
    case 'onnx':
      return plain(folder, 'model.onnx');
    case 'tensorflow-serving':
      return plain(`${folder}/1`, undefined);
    case 'triton':
      return tritonLayout(folder, tritonBackend(spec, server));
    case 'mlserver': {
      const known = MLSERVER_EXTENSION[spec.framework];
      const extension = extensionOf(source?.uri ?? '') ?? known;
      return plain(`${folder}/1`, extension === undefined ? undefined : `model${extension}`);
    }
    case 'vllm':
      return plain(folder, undefined);
    case 'custom':
      return plain(folder, ownName(source));
  }
}

/** The folder of a model: version folders and configuration lie in it. */
export function modelFolder({ id }: ModelSpec): string {
  return `${ROOT}/${id}`;
}

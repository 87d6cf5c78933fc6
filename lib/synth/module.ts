import { createJiti } from 'jiti';
import * as spec from '../spec';

/**
 * What a definition sees of this package: the part that describes models. It is the instance that runs, so
 * nothing is loaded twice, and a fresh clone needs no build.
 */
const OWN = { '@suoke/ai-model-service': spec, '@suoke/ai-model-service/spec': spec };

/** Loads the default export of a TypeScript or JavaScript file, its imports with it, as it is on disk now. */
export async function defaultExport(file: string): Promise<unknown> {
  const jiti = createJiti(file, { virtualModules: OWN, moduleCache: false });
  const loaded = await jiti.import<Record<string, unknown>>(file);
  return loaded['default'];
}

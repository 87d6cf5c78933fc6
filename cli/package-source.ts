import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { VERSION } from './version';

/** Name of the npm package. */
export const PACKAGE = '@suoke/ai-model-service';
/** As `npm pack` and `scripts/dev.sh pack` name it. */
const TARBALL = `suoke-ai-model-service-${VERSION}.tgz`;

/** How a new project gets this package. */
export type PackageSource =
  | { readonly kind: 'registry'; readonly range: string }
  /** A packed file, to be copied into the project so that its continuous integration has it, too. */
  | { readonly kind: 'tarball'; readonly file: string }
  /** This is a checkout that was not packed yet. */
  | { readonly kind: 'unpacked'; readonly checkout: string };

const REGISTRY: PackageSource = { kind: 'registry', range: `^${VERSION}` };

/** What npm wrote of an installed package into node_modules/.package-lock.json. */
interface LockEntry {
  readonly resolved?: string;
  readonly link?: boolean;
}

function lockEntry(nodeModules: string): LockEntry | undefined {
  const file = join(nodeModules, '.package-lock.json');
  if (!existsSync(file)) return undefined;
  const { packages } = JSON.parse(readFileSync(file, 'utf8')) as {
    readonly packages?: Readonly<Record<string, LockEntry>>;
  };
  return packages?.[`node_modules/${PACKAGE}`];
}

/** A checkout has the script that packs it; anything else, such as the image, has no file to give. */
function checkoutSource(checkout: string): PackageSource {
  if (!existsSync(join(checkout, 'scripts', 'dev.sh'))) return REGISTRY;
  const file = join(checkout, TARBALL);
  return existsSync(file) ? { kind: 'tarball', file } : { kind: 'unpacked', checkout };
}

/**
 * Where the running program came from: a registry, a packed file or a checkout.
 * @param root folder of the package.json of this package
 */
export function packageSourceOf(root: string): PackageSource {
  const real = realpathSync(root);
  const installed = real.endsWith(join('node_modules', ...PACKAGE.split('/')));
  if (!installed) return checkoutSource(real);
  const nodeModules = resolve(real, '..', '..');
  const { resolved = '' } = lockEntry(nodeModules) ?? {};
  const file = resolve(dirname(nodeModules), resolved.replace(/^file:/, ''));
  return resolved.startsWith('file:') && existsSync(file) ? { kind: 'tarball', file } : REGISTRY;
}

/** What stands in the package.json of a project in this folder. */
export function dependencyOf(source: PackageSource, project: string): string {
  if (source.kind === 'registry') return source.range;
  if (source.kind === 'tarball') return `file:vendor/${basename(source.file)}`;
  const path = relative(realpathOrSelf(project), join(source.checkout, TARBALL));
  return `file:${path.split(sep).join('/')}`;
}

/** The project's folder may not exist yet; npm resolves links, so the relative path must, too. */
function realpathOrSelf(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  return join(realpathOrSelf(dirname(path)), basename(path));
}

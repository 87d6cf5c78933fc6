import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { VERSION } from './version';

/** Name of the npm package. */
export const PACKAGE = '@suoke/ai-model-service';
/** Name of the file from `npm pack` and `scripts/dev.sh pack`. */
const TARBALL = `suoke-ai-model-service-${VERSION}.tgz`;

/** Where a new project gets this package from. */
export type PackageSource =
  | { readonly kind: 'registry'; readonly range: string }
  /** A packed file, to be copied into the project so that its continuous integration has it, too. */
  | { readonly kind: 'tarball'; readonly file: string }
  /** This is a checkout that was not packed yet. */
  | { readonly kind: 'unpacked'; readonly checkout: string };

const REGISTRY: PackageSource = { kind: 'registry', range: `^${VERSION}` };

/** Entry of an installed package in node_modules/.package-lock.json. */
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

/** A checkout can pack itself with its script; an image, for example, cannot. */
function checkoutSource(checkout: string): PackageSource {
  if (!existsSync(join(checkout, 'scripts', 'dev.sh'))) return REGISTRY;
  const file = join(checkout, TARBALL);
  return existsSync(file) ? { kind: 'tarball', file } : { kind: 'unpacked', checkout };
}

/**
 * The source of the running program: a registry, a packed file or a checkout.
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

/** The dependency for the package.json of a project in this folder. */
export function dependencyOf(source: PackageSource, project: string): string {
  if (source.kind === 'registry') return source.range;
  if (source.kind === 'tarball') return `file:vendor/${basename(source.file)}`;
  const path = relative(realpathOrSelf(project), join(source.checkout, TARBALL));
  return `file:${path.split(sep).join('/')}`;
}

/** The project's folder may not exist yet; npm resolves links, so the relative path does, too. */
function realpathOrSelf(path: string): string {
  if (existsSync(path)) return realpathSync(path);
  return join(realpathOrSelf(dirname(path)), basename(path));
}

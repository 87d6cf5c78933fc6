// Names of images, by the grammar of github.com/distribution/reference.

/** The first part is a registry when it looks like a host: a dot, a port, capitals, or `localhost`. */
function namesRegistry(image: string): boolean {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:A-Z]/.test(first) || first === 'localhost');
}

/** An image as it is pulled: without a registry in its name it comes from the environment's. */
export function withRegistry(image: string, registry: string | undefined): string {
  return registry === undefined || namesRegistry(image)
    ? image
    : `${registry.replace(/\/$/, '')}/${image}`;
}

const HUB = 'docker.io';
const HUB_NAMES: ReadonlySet<string> = new Set([HUB, 'index.docker.io', 'registry-1.docker.io']);

/**
 * The repository of an image with its registry, without tag and digest: `iris:1` is
 * `docker.io/library/iris`.
 */
export function repositoryOf(image: string): string {
  const name = image.replace(/@.*$/s, '').replace(/:[^:/]*$/, '');
  const [first = '', ...rest] = name.split('/');
  if (!namesRegistry(name)) return rest.length === 0 ? `${HUB}/library/${first}` : `${HUB}/${name}`;
  const host = first.toLowerCase();
  if (!HUB_NAMES.has(host)) return [host, ...rest].join('/');
  return [HUB, ...(rest.length === 1 ? ['library'] : []), ...rest].join('/');
}

/** An entry is a registry (`ghcr.io`) or a part of one (`ghcr.io/suoke`). */
export function isFromOneOf(image: string, registries: readonly string[]): boolean {
  const repository = repositoryOf(image);
  return registries.some((entry) => {
    const wanted = entry.replace(/\/+$/, '');
    return repository === wanted || repository.startsWith(`${wanted}/`);
  });
}

import { snippetsOf } from '../../support/snippets';
import type { Scene } from './scene';

// The page for those who bring their own client: what it shows is what the suites run.

export const PAGE = 'docs/clients.md';

/** The page's programs in a language, towards a scene. @param info word behind the language */
export function programsOf(
  language: string,
  info: string,
  { service, grpc }: Scene,
): readonly string[] {
  return snippetsOf(PAGE)
    .filter((one) => one.language === language && one.info === info)
    .map(({ text }) =>
      text
        .replaceAll('127.0.0.1:8080', service.url.replace('http://', ''))
        .replaceAll('127.0.0.1:8081', grpc),
    );
}

import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Response } from 'express';
import { contentSecurityPolicy } from 'helmet';
import type { Page } from './http-app';
import type { ControlContext } from './context';
import { openApiDocument } from './openapi/document';
import { Problem } from './problem';
import { entryOf } from '../../lib/spec/entry';

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ai-model-service</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<div id="page"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

/** Without a validator, which would send the document to a host on the internet. */
const START = `SwaggerUIBundle({ url: '/openapi.json', dom_id: '#page', validatorUrl: null });\n`;

const ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
};

/** Allows no other origin, and inline only the styles that the page sets on its own elements. */
const protect = contentSecurityPolicy({
  useDefaults: false,
  directives: {
    'default-src': ["'none'"],
    'script-src': ["'self'"],
    'style-src': ["'self'", "'unsafe-inline'"],
    'img-src': ["'self'", 'data:'],
    'connect-src': ["'self'"],
    'base-uri': ["'none'"],
    'form-action': ["'none'"],
    'frame-ancestors': ["'none'"],
  },
});

/** From the package only in development: the built service includes the two files. */
function assetFolder({ docsAssets }: ControlContext): string {
  return docsAssets ?? dirname(require.resolve('swagger-ui-dist/package.json'));
}

async function asset(context: ControlContext, name: string): Promise<readonly [Buffer, string]> {
  const type = entryOf(ASSETS, name);
  if (type === undefined)
    throw new Problem('NOT_FOUND', 'there is no such file under /docs; open /docs/');
  return [await readFile(join(assetFolder(context), name)), type];
}

function send(response: Response, type: string, body: string | Buffer): void {
  response.setHeader('content-type', type);
  // Set here, since a response to HEAD has no body to count.
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
}

/**
 * The document, and a page that shows it without network access. They contain no data, so they need
 * no key.
 */
export function docsPages(context: ControlContext): readonly Page[] {
  let document: string | undefined;
  const guarded = (handle: Page['handle']): Page['handle'] => {
    return async (request, response) => {
      await new Promise<void>((resolve) => protect(request, response, () => resolve()));
      await handle(request, response);
    };
  };
  return [
    // Only browsers get here: the data plane answers requests for JSON, as clients of V1 expect.
    { path: '/', handle: (_, response) => response.redirect(302, '/docs') },
    {
      path: '/openapi.json',
      handle: (_, response) => {
        document ??= JSON.stringify(openApiDocument());
        send(response, 'application/json; charset=utf-8', document);
      },
    },
    {
      path: '/docs',
      handle: guarded((_, response) => send(response, 'text/html; charset=utf-8', PAGE)),
    },
    {
      path: '/docs/{file}',
      handle: guarded(async (request, response) => {
        const name = String(request.params['file']);
        if (name === 'start.js') return send(response, 'text/javascript; charset=utf-8', START);
        const [body, type] = await asset(context, name);
        send(response, type, body);
      }),
    },
  ];
}

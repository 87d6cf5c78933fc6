import type { Express, Response } from 'express';
import { textTypeOf } from '../metrics';
import { callerOf } from './access';
import type { Page } from './app';
import { createApp } from './app';
import type { Access, Answer } from './call';
import { live, ready } from './calls/health';
import type { Context } from './context';
import { wireLoad } from './loadschema';

/** The exposition; a slice at a time, so that a scrape never holds requests up. */
export function metricsPage({ authenticate, metrics }: Context, access: Access): Page {
  return {
    path: '/metrics',
    handle: async (request, response) => {
      callerOf(authenticate, request.headers, access, '');
      const accept = request.header('accept');
      const text = await metrics.text(accept);
      response.setHeader('content-type', textTypeOf(accept));
      response.end(text);
    },
  };
}

const send = (response: Response, { status, body }: Answer): void =>
  void response.status(status).json(body);

/** The second port: for kubelet, monitoring and the other routers; nothing of it needs a key. */
export function createOpsApp(context: Context): Express {
  return createApp(
    context,
    [],
    [
      { path: '/live', handle: (_, response) => send(response, live(context)) },
      { path: '/ready', handle: (_, response) => send(response, ready(context)) },
      metricsPage(context, 'open'),
      {
        path: '/internal/load',
        handle: (_, response) => send(response, { status: 200, body: wireLoad(context.ownLoad()) }),
      },
    ],
  );
}

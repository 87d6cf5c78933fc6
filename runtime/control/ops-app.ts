import { pipeline } from 'node:stream/promises';
import type { Express, Request, Response } from 'express';
import { textTypeOf } from '../metrics';
import { isKnownHost } from '../shared/origins';
import { mayUse } from '../auth';
import { callerOf } from './access';
import type { Page } from './http-app';
import { createApp } from './http-app';
import type { CallAccess, CallResponse } from './define-call';
import { live, ready } from './calls/health';
import type { ControlContext } from './context';
import { wireLoad } from './load-schema';
import { Problem } from './problem';

/**
 * Metrics of the models that a caller may see; in slices, so that a scrape never delays requests.
 */
export function metricsPage({ authenticate, metrics }: ControlContext, access: CallAccess): Page {
  return {
    path: '/metrics',
    handle: async (request, response) => {
      const caller = await callerOf(authenticate, request, access, '');
      const accept = request.header('accept');
      response.setHeader('content-type', textTypeOf(accept));
      const slices = metrics.text(accept, (model) => mayUse(caller, model));
      // A scraper that disconnects early is not an error.
      await pipeline(slices, response).catch(() => response.destroy());
    },
  };
}

const send = (response: Response, { status, body }: CallResponse): void =>
  void response.status(status).json(body);

/** @throws Problem FORBIDDEN for a host name that a foreign DNS may point here */
function requireKnownHost({ config }: ControlContext, { headers: { host } }: Request): void {
  if (isKnownHost(host, config.server.allowedHosts)) return;
  throw new Problem(
    'FORBIDDEN',
    'this port answers to addresses, localhost and names of the cluster; add others to server.allowed_hosts',
  );
}

const guarded =
  (context: ControlContext) =>
  ({ path, handle }: Page): Page => ({
    path,
    handle: (request, response) => {
      requireKnownHost(context, request);
      return handle(request, response);
    },
  });

/** The ops port: for kubelet, monitoring and the other routers; it needs no key. */
export function createOpsApp(context: ControlContext): Express {
  const pages: readonly Page[] = [
    { path: '/live', handle: (_, response) => send(response, live(context)) },
    { path: '/ready', handle: (_, response) => send(response, ready(context)) },
    metricsPage(context, 'open'),
    {
      path: '/internal/load',
      handle: (_, response) => send(response, { status: 200, body: wireLoad(context.ownLoad()) }),
    },
  ];
  return createApp(context, [], pages.map(guarded(context)));
}

import { isIP } from 'node:net';
import type { Express, NextFunction, Request, Response } from 'express';
import express from 'express';
import helmet from 'helmet';
import { idSchema } from '../../lib/spec';
import { CHALLENGE } from '../auth';
import { ClusterError } from '../cluster/port';
import { trustedProxiesOf } from '../shared/trusted-proxies';
import { requestIdOf, traceparentOf } from '../shared/request-id';
import type {
  ApiCall,
  CallRequest,
  CallResponse,
  ChangeAction,
  RecordedParts,
} from './define-call';
import type { ControlContext } from './context';
import { AccessRefused, callerOf, requireOwnOrigin } from './access';
import { bodyOf, queryOf } from './request-body';
import {
  headersOfProblem,
  internalProblem,
  problemBody,
  Problem,
  statusOfProblem,
  tryProblemOf,
} from './problem';

/** Runs `work` and throws its error as mapped by `map`. */
async function mapped<T>(work: () => Promise<T>, map: (error: unknown) => unknown): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw map(error);
  }
}

/** Data of a request for audit, metrics and log. */
interface CallRecord {
  /** Milliseconds since the epoch. */
  readonly began: number;
  caller?: string | undefined;
  parts?: RecordedParts | undefined;
  answer?: CallResponse;
}

const requestId = (response: Response): string => String(response.getHeader('x-request-id'));

function originOf({ config }: ControlContext, request: Request): string {
  const scheme = config.server.tls === undefined ? request.protocol : 'https';
  return `${scheme}://${request.host ?? `${config.server.host}:${config.server.port}`}`;
}

/** Headers of every response; responses must not be cached. */
function commonHeaders({ shuttingDown }: ControlContext) {
  return (request: Request, response: Response, next: NextFunction): void => {
    response.setHeader('x-request-id', requestIdOf(request.header('x-request-id')));
    const traceparent = traceparentOf(request.header('traceparent'));
    if (traceparent !== undefined) response.setHeader('traceparent', traceparent);
    response.setHeader('cache-control', 'no-store');
    if (shuttingDown()) response.setHeader('connection', 'close');
    next();
  };
}

function sendProblem(context: ControlContext, response: Response, problem: Problem): void {
  if (response.headersSent) return void response.destroy();
  if (problem.code === 'UNAUTHENTICATED') response.setHeader('www-authenticate', CHALLENGE);
  response
    .status(statusOfProblem(problem))
    .set(headersOfProblem(problem))
    .json(problemBody(problem, context.clock.now()));
}

function sendError(
  context: ControlContext,
  request: Request,
  response: Response,
  error: unknown,
): void {
  const known = tryProblemOf(error);
  if (known === undefined) {
    const { name, stack } = error instanceof Error ? error : new Error('not an error');
    // Without the message, which may quote the request. The stack without its first line shows the
    // place.
    const place = stack?.split('\n').filter((line) => /^\s+at /.test(line));
    const fields = { requestId: requestId(response), method: request.method, name, place };
    context.log.error('a call failed', fields);
  } else if (error instanceof ClusterError && statusOfProblem(known) >= 500) {
    // The message is the cluster's own; it is logged because it may name a missing right.
    const { code, message } = known;
    context.log.warn('the cluster refused', { requestId: requestId(response), code, message });
  }
  sendProblem(context, response, known ?? internalProblem(requestId(response)));
}

/** An invalid id in the path is not recorded. */
function modelOf(request: Request, { answer, parts }: CallRecord): string | undefined {
  const id = answer?.model ?? request.params['id'] ?? parts?.model;
  return typeof id === 'string' && idSchema.safeParse(id).success ? id : undefined;
}

/** A proxy that is trusted may pass on any text. */
function addressOf({ ip, socket }: Request): string | undefined {
  return isIP(ip ?? '') === 0 ? socket.remoteAddress : ip;
}

function entryOf(action: string, request: Request, response: Response, track: CallRecord) {
  return {
    caller: track.caller,
    action,
    model: modelOf(request, track),
    revision: track.answer?.revision,
    level: track.parts?.level,
    address: addressOf(request),
    requestId: requestId(response),
    status: response.statusCode,
  };
}

/** Audit, metrics and log of a change, or of an attempt at one. */
function record(
  { clock, audit, metrics, log }: ControlContext,
  action: ChangeAction,
  request: Request,
  response: Response,
  track: CallRecord,
): void {
  const at = clock.now();
  const entry = entryOf(action, request, response, track);
  const { status } = entry;
  audit.record({ at, ...entry });
  metrics.onDeployment(action, status < 400 ? 'success' : 'error');
  log.info(`${action} ${status < 400 ? 'accepted' : 'refused'}`, {
    ...entry,
    ms: at - track.began,
  });
}

/** A read that the caller may not have; the others are not recorded. */
function recordRefusedRead(
  { clock, audit }: ControlContext,
  request: Request,
  response: Response,
  error: unknown,
): void {
  if (!(error instanceof AccessRefused)) return;
  const at = clock.now();
  const { caller } = error;
  audit.recordSoon({ at, ...entryOf('read', request, response, { began: at, caller }) });
}

/** @throws Problem AUDIT_UNAVAILABLE: no change without a line that tells of it */
function requireRecord(
  context: ControlContext,
  call: ApiCall,
  request: CallRequest<unknown, unknown>,
): void {
  const fault = context.audit.refusal();
  if (fault === undefined || call.isRelief?.(context, request) === true) return;
  throw new Problem(
    'AUDIT_UNAVAILABLE',
    `no change is made while the audit record cannot be written (${fault}): correct audit.file, then repeat it; abort and lower shares work meanwhile`,
  );
}

type Change = ApiCall & { readonly action: ChangeAction };

/** A dry run changes nothing and is not recorded. */
const isRecorded = (call: ApiCall, request: Request): call is Change =>
  call.action !== undefined && request.query['dry_run'] !== 'true';

function handlerOf(context: ControlContext, call: ApiCall) {
  return async (request: Request, response: Response): Promise<void> => {
    const track: CallRecord = { began: context.clock.now() };
    const id = typeof request.params['id'] === 'string' ? request.params['id'] : '';
    try {
      const caller = await callerOf(context.authenticate, request, call.access, id);
      track.caller = caller.name;
      requireOwnOrigin(context, request);
      const query = queryOf(call, request);
      const { value: body, asWritten } = await bodyOf(call, request, response);
      track.parts = call.recordOf?.(body);
      const callRequest = {
        id,
        body,
        query,
        caller,
        requestId: requestId(response),
        ifMatch: request.header('if-match'),
        origin: originOf(context, request),
      };
      if (isRecorded(call, request)) requireRecord(context, call, callRequest);
      const answer = await mapped(async () => call.handle(context, callRequest), asWritten);
      track.answer = answer;
      response
        .status(answer.status)
        .set(answer.headers ?? {})
        .json(answer.body);
    } catch (error) {
      if (error instanceof AccessRefused) track.caller = error.caller;
      sendError(context, request, response, error);
      if (call.action === undefined) recordRefusedRead(context, request, response, error);
    } finally {
      if (isRecorded(call, request)) record(context, call.action, request, response, track);
    }
  };
}

const pathsOf = ({ path, alias }: ApiCall): readonly string[] =>
  alias === undefined ? [path] : [path, alias];

/** `/models/{id}/scale` → `/models/:id/scale` */
const expressPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

function pattern(path: string): RegExp {
  return new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+').replace(/\/$/, '')}/?$`);
}

/** A page for GET that is not a call of the API. */
export interface Page {
  /** `/docs/{file}` */
  readonly path: string;
  readonly handle: (request: Request, response: Response) => Promise<void> | void;
}

type PathMethod = Pick<ApiCall, 'method' | 'path'>;

/** Methods of a path that exists; empty when it does not. */
function methodsAt(places: readonly PathMethod[], path: string): readonly string[] {
  const found = places.filter((place) => pattern(place.path).test(path));
  const methods = new Set(found.map(({ method }) => method.toUpperCase()));
  if (methods.has('GET')) methods.add('HEAD');
  return [...methods].toSorted();
}

/** Responds to unmatched requests: 405 for another method of a known path, else 404. */
function fallback(context: ControlContext, places: readonly PathMethod[]) {
  return (request: Request, response: Response): void => {
    const allowed = methodsAt(places, request.path);
    if (allowed.length === 0) {
      const message = 'there is nothing at this path; /openapi.json lists all calls';
      return sendProblem(context, response, new Problem('NOT_FOUND', message));
    }
    const headers = { allow: allowed.join(', ') };
    if (request.method === 'OPTIONS') return void response.status(204).set(headers).end();
    const message = `this path takes ${headers.allow}`;
    sendProblem(context, response, new Problem('METHOD_NOT_ALLOWED', message, [], headers));
  };
}

/** Handles errors before any call was reached, such as `%zz` in a path. */
function lastResort(context: ControlContext) {
  // Express knows error handlers by their four parameters.
  return (error: unknown, request: Request, response: Response, _next: NextFunction): void => {
    const bad = (error as { status?: number }).status === 400;
    const problem = new Problem('INVALID_REQUEST', 'the path is not well-formed');
    sendError(context, request, response, bad ? problem : error);
  };
}

/** The strictest policy: responses are data, not pages. */
function protection({ config }: ControlContext) {
  return helmet({
    contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"] } },
    strictTransportSecurity: config.server.tls !== undefined,
  });
}

function pageOf(context: ControlContext, { handle }: Page) {
  return async (request: Request, response: Response): Promise<void> => {
    try {
      await handle(request, response);
    } catch (error) {
      sendError(context, request, response, error);
      recordRefusedRead(context, request, response, error);
    }
  };
}

/** Builds an app: calls, pages, and answers to everything else. */
export function createApp(
  context: ControlContext,
  calls: readonly ApiCall[],
  pages: readonly Page[],
): Express {
  const app = express();
  app.disable('x-powered-by');
  app.set('etag', false);
  app.set('query parser', 'simple');
  const trusted = trustedProxiesOf(context.config.server.trustedProxies);
  // Only our own data plane connects to the private socket, which has no address.
  app.set('trust proxy', (address?: string) => !address || trusted(address));
  app.use(protection(context), commonHeaders(context));
  for (const call of calls)
    for (const path of pathsOf(call)) app[call.method](expressPath(path), handlerOf(context, call));
  for (const page of pages) app.get(expressPath(page.path), pageOf(context, page));
  const places: readonly PathMethod[] = [
    ...calls.flatMap((call) => pathsOf(call).map((path) => ({ method: call.method, path }))),
    ...pages.map(({ path }) => ({ method: 'get', path }) as const),
  ];
  app.use(fallback(context, places));
  app.use(lastResort(context));
  return app;
}

export { runOnnxServer } from './run';
export type { ProcessLike, RunOptions } from './run';
export { serveOnnx } from './serve';
export type { OnnxServer, OnnxServerOptions } from './serve';
export { UnservableModel } from './errors';
export type { ModelSource } from './model';

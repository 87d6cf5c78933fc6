export { UnservableModel } from './model';
export type { ProcessLike, RunOptions } from './run';
export { runOnnxServer } from './run';
export type { OnnxServer, OnnxServerOptions } from './serve';
export { serveOnnx } from './serve';

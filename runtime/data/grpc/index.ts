export type { GrpcServer, GrpcServerOptions } from './server';
export { openGrpcServer } from './server';

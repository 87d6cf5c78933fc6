export type { GrpcServerOptions } from './grpc-server';
export { openGrpcServer } from './grpc-server';

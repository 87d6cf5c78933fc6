export type { GrpcServer, GrpcServerOptions } from './grpc-server';
export { openGrpcServer } from './grpc-server';

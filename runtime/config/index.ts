export { isLoopback } from './loopback';
export { ConfigError, ENV_PREFIX, parseConfig, withEnvironment } from './parse';
export type { Config } from './schema';

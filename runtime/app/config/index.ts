export { type Config, overruledDefaults } from './derive';
export { ConfigError, ENV_PREFIX, NAMESPACE_VARIABLE, parseConfig, withEnvironment } from './parse';

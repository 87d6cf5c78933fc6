export { type JsonPath, parseJsonPath } from './json-path';
export type { ConfigInput } from './configinput';
export { type ClientCertEntry, type KeyEntry, keySchema, MAX_KEYS } from './auth';
export { configSchema, type WrittenConfig } from './schema';

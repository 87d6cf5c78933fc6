export type { ConfigInput } from './configinput';
export { type KeyEntry, keySchema, MAX_KEYS } from './auth';
export { configSchema, type WrittenConfig } from './schema';

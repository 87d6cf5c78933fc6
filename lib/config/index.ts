export type { ConfigInput } from './configinput';
export { configSchema, type WrittenConfig } from './schema';

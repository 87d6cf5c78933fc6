export { configSchema, type WrittenConfig } from './schema';

export * from './authenticate';
export { withItem, withoutItems } from './key-edit';
export { type ApiKey, newKey } from './keys';
export { KeysFileError, type LoadedKeys, parseKeys } from './keys-file';
export * from './port';

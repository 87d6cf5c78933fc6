export * from './keys';
export * from './port';

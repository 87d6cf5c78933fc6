import type { EnvironmentContext, JestEnvironmentConfig } from '@jest/environment';
import TestEnvironment = require('./environment');

const ARRAYS = {
  Uint8Array,
  Uint16Array,
  Uint32Array,
  BigUint64Array,
  Int8Array,
  Int16Array,
  Int32Array,
  BigInt64Array,
  Float32Array,
  Float64Array,
};

/**
 * For tests that run ONNX Runtime in the test's own process: its native part makes typed arrays of
 * Node's realm and checks them by constructor, while jest gives every test file a realm of its own.
 * Used as `@jest-environment ./test/support/onnx-environment.ts` at the head of a test file.
 */
class OnnxEnvironment extends TestEnvironment {
  constructor(config: JestEnvironmentConfig, context: EnvironmentContext) {
    super(config, context);
    Object.assign(this.global, ARRAYS);
  }
}

// The one form of export that jest takes for an environment and that is not a default export.
export = OnnxEnvironment;

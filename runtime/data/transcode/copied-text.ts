import type { ExactNumber } from './exact-json';
import { exactly, readJson } from './exact-json';
import type { JsonObject } from './body-json';
import type { ItemConfidence, NativeOutput } from './native-format';
import { largest } from './native-format';
import { RawBytes } from './raw-bytes';
import type { NumberSpan, Scanner } from './scanner';
import { NotSimple, scanned } from './scanner';
import type { ModelInputs } from './v2';
import { batchShape, rowsOfShapes } from './v2';
import { JSON_LIMITS } from '../../shared/json-survey';

// The fast path of native ↔ native and native ↔ V2: the text of numbers is copied, not parsed.
// `undefined` means that the body is not simple, and the caller parses it; the result is the same
// (test/data/transcode/copied-text.test.ts compares them).

/** JSON that is passed on as it was read. */
export class RawJson {
  constructor(readonly text: string) {}

  toJSON(): unknown {
    return readJson(this.text);
  }
}

/** A native call whose parts are known by their position in the text. */
export class SplicedCall {
  /** A simple call has neither field. */
  readonly timeoutMs = undefined;
  readonly priority = undefined;

  constructor(
    readonly text: string,
    /** Undefined when an input is neither a number nor a list of numbers. */
    readonly inputs: readonly (readonly [name: string, value: NumberSpan])[] | undefined,
    readonly parametersText: string | undefined,
  ) {}

  get input_data(): JsonObject {
    return (readJson(this.text) as { readonly input_data: JsonObject }).input_data;
  }

  get parameters(): JsonObject | undefined {
    return (readJson(this.text) as { readonly parameters?: JsonObject }).parameters;
  }
}

/** A body with more tensors is parsed, where its size is limited. */
const MAX_TENSORS = 1024;

/** Larger inputs are parsed, where the error names the limit. */
function checkHolds({ shape }: NumberSpan): void {
  let values = 1;
  let lists = 0;
  for (const length of shape) {
    lists += values;
    values *= length;
  }
  if (lists > JSON_LIMITS.containers || values > JSON_LIMITS.values) throw new NotSimple();
}

function inputsOf(scanner: Scanner): SplicedCall['inputs'] {
  const inputs: (readonly [string, NumberSpan])[] = [];
  const names = new Set<string>();
  scanner.object((name) => {
    if (names.has(name) || names.size === MAX_TENSORS) throw new NotSimple();
    names.add(name);
    const value = scanner.numbers();
    checkHolds(value);
    inputs.push([name, value]);
  });
  return inputs;
}

/** A call that has nothing but `input_data` of numbers and `parameters`. */
export function splicedCall(text: string): SplicedCall | undefined {
  return scanned(text, (scanner) => {
    let inputs: SplicedCall['inputs'];
    let parameters: string | undefined;
    scanner.object((key) => {
      if (key === 'input_data' && inputs === undefined) inputs = inputsOf(scanner);
      else if (key === 'parameters' && parameters === undefined && scanner.next === 0x7b) {
        parameters = scanner.value();
      } else throw new NotSimple();
    });
    if (inputs === undefined) throw new NotSimple();
    return new SplicedCall(text, inputs, parameters);
  });
}

/** Row-major: the brackets of inner lists go. */
function flatText(text: string, { from, to, shape }: NumberSpan): string {
  const own = text.slice(from, to);
  if (shape.length === 1) return own;
  return `[${own.replaceAll(/[[\]]/g, '')}]`;
}

/**
 * The body of a V2 call. Undefined when a list is empty, or the parser has to report an error.
 */
export function splicedV2(
  { text, inputs, parametersText }: SplicedCall,
  metadata: ModelInputs | undefined,
): string | undefined {
  if (inputs === undefined) return undefined;
  const all = metadata?.inputs ?? [];
  const tensors: string[] = [];
  for (const [name, numbers] of inputs) {
    const known = all.find((one) => one.name === name);
    if (all.length > 0 && known === undefined) return undefined;
    const { shape, areIntegers } = numbers;
    if (shape.includes(0)) return undefined;
    const datatype = known?.datatype ?? (areIntegers ? 'INT64' : 'FP64');
    const whole = batchShape(shape, known).join(',');
    const data = flatText(text, numbers);
    tensors.push(`{"name":"${name}","datatype":"${datatype}","shape":[${whole}],"data":${data}}`);
  }
  const more = parametersText === undefined ? '' : `,"parameters":${parametersText}`;
  return `{"inputs":[${tensors.join(',')}]${more}}`;
}

/** Rows of the V2 call that `splicedV2` makes. */
export function splicedRows(
  { inputs = [] }: SplicedCall,
  metadata: ModelInputs | undefined,
): number {
  const knownAs = (name: string) => metadata?.inputs.find((one) => one.name === name);
  return rowsOfShapes(inputs.map(([name, { shape }]) => batchShape(shape, knownAs(name))));
}

/** `confidence` itself, else the largest of `probabilities`. */
function confidenceOf(outputs: ReadonlyMap<string, string>): ItemConfidence {
  const own = numberOf(outputs.get('confidence'));
  if (own !== undefined) return own;
  const list = outputs.get('probabilities');
  if (list === undefined) return null;
  const value: unknown = readJson(list);
  return Array.isArray(value) ? largest(value) : null;
}

const NUMBER = /^-?\d/;

function numberOf(text: string | undefined): number | ExactNumber | undefined {
  const number = text !== undefined && NUMBER.test(text) ? Number(text) : NaN;
  return Number.isFinite(number) ? exactly(number) : undefined;
}

/** A tensor of numbers; `[name, its text without the batch of one around it]`. */
function outputOf(scanner: Scanner): readonly [string, string] {
  let name: string | undefined;
  let shape: readonly number[] | undefined;
  let data: NumberSpan | undefined;
  scanner.object((key) => {
    if (key === 'name') name = scanner.string();
    else if (key === 'datatype') scanner.string();
    else if (key === 'shape') shape = JSON.parse(scanner.value()) as readonly number[];
    else if (key === 'data') data = scanner.numbers();
    else throw new NotSimple();
  });
  if (name === undefined || !Array.isArray(shape) || data?.shape.length !== 1)
    throw new NotSimple();
  const [outer = 1, inner] = shape as readonly number[];
  const length = data.shape[0];
  const text = scanner.text.slice(data.from, data.to).trim();
  if (shape.length > 2 || outer * (inner ?? 1) !== length) throw new NotSimple();
  if (shape.length === 2 && outer !== 1) throw new NotSimple();
  // A single number is returned without a list around it.
  const isAlone = shape.length === 0 || (shape.length === 1 && outer === 1);
  return [name, isAlone ? text.slice(1, -1).trim() : text];
}

/** The answer of a V2 server, for outputs that are one row of numbers each. */
export function splicedAnswer(text: string): NativeOutput | undefined {
  return scanned(text, (scanner) => {
    const outputs = new Map<string, string>();
    let found = false;
    scanner.object((key) => {
      if (key !== 'outputs') return void scanner.value();
      if (found) throw new NotSimple();
      found = true;
      scanner.list(() => {
        const [name, value] = outputOf(scanner);
        if (outputs.has(name) || outputs.size === MAX_TENSORS) throw new NotSimple();
        outputs.set(name, value);
      });
    });
    if (!found || outputs.has('__proto__')) throw new NotSimple();
    const parts = [...outputs].map(([name, value]) => `"${name}":${value}`);
    return { output: new RawJson(`{${parts.join(',')}}`), confidence: confidenceOf(outputs) };
  });
}

/** The answer of a native server that includes its confidence. */
export function splicedResult(text: string): NativeOutput | undefined {
  return scanned(text, (scanner) => {
    let result: string | undefined;
    let confidence: number | ExactNumber | undefined;
    scanner.object((key) => {
      const value = scanner.value();
      if (key === 'result' && result === undefined) result = value.trim();
      else if (key === 'confidence' && confidence === undefined) confidence = numberOf(value);
      else if (key === 'result' || key === 'confidence') throw new NotSimple();
    });
    if (result === undefined || confidence === undefined) throw new NotSimple();
    return { output: new RawJson(result), confidence };
  });
}

/** An output as parsed values. */
export function outputValue(output: unknown): unknown {
  return output instanceof RawJson || output instanceof RawBytes ? output.toJSON() : output;
}

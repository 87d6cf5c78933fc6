import { bytesField, fieldsOf, rawOf } from '../wire';
import type { Field } from '../wire';
import { nodeOf } from '../independence/node';
import { guardedDivision } from './division';
import { Finder } from './find';
import type { Finding } from './find';
import type { Guarded } from './guarded';
import { guardedTopK } from './topk';

// At some values ONNX Runtime ends the process, and no caller gets an answer. Where such values may
// hang on the data, deep inside of a graph, no look at a request finds them. So the nodes that
// calculate with them are put right in the file's bytes before the session is made.

/** Field numbers of onnx.proto: ModelProto, GraphProto, FunctionProto, NodeProto. */
const MODEL = { graph: 7, function: 25 } as const;
const GRAPH_NODE = 1;
const FUNCTION_NODE = 7;
const NODE = { input: 1, output: 2, attribute: 5 } as const;

/** TopK takes K as an input, and Slice its bounds, since this operator set. */
const LEAST_OPSET_OF_TOPK = 10;
/** Appended to names of values that are added; exporters do not use such names. */
const OWN = '__guard';

function guardedNodes(bytes: Uint8Array, field: Field, finding: Finding): Uint8Array[] {
  const rest = Array.from(fieldsOf(bytes, field.start, field.end))
    .filter(({ number }) => number !== NODE.input && number !== NODE.output)
    .map((part) => rawOf(bytes, part));
  const name = (what: string): string => `${OWN}_${field.tag}_${what}`;
  const guarded: Guarded = { own: nodeOf(bytes, field), rest, name };
  return finding.kind === 'TopK' ? guardedTopK(guarded) : guardedDivision(guarded, finding.type);
}

/** Puts a file together anew, with guards where something was found. */
class Rewriter {
  constructor(
    private readonly bytes: Uint8Array,
    private readonly found: ReadonlyMap<number, Finding>,
  ) {}

  /** The nodes of a graph or a function: `number` is the number of their field. */
  nodesIn(at: Field, number: number): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const field of fieldsOf(this.bytes, at.start, at.end)) {
      if (field.number === number) parts.push(...this.node(field, number));
      else parts.push(rawOf(this.bytes, field));
    }
    return bytesField(at.number, parts);
  }

  private node(field: Field, number: number): readonly Uint8Array[] {
    const { bytes } = this;
    const finding = this.found.get(field.tag);
    if (finding !== undefined) {
      const nodes = guardedNodes(bytes, field, finding);
      return number === GRAPH_NODE ? nodes : nodes.map((one) => renumbered(one, number));
    }
    const isInside = [...this.found.keys()].some((tag) => tag > field.start && tag < field.end);
    if (!isInside) return [rawOf(bytes, field)];
    const parts: Uint8Array[] = [];
    for (const part of fieldsOf(bytes, field.start, field.end)) {
      parts.push(part.number === NODE.attribute ? this.attribute(part) : rawOf(bytes, part));
    }
    return [bytesField(field.number, parts)];
  }

  private attribute(at: Field): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const field of fieldsOf(this.bytes, at.start, at.end)) {
      const isGraph = field.number === 6 || field.number === 11;
      parts.push(isGraph ? this.nodesIn(field, GRAPH_NODE) : rawOf(this.bytes, field));
    }
    return bytesField(at.number, parts);
  }
}

/** A message as another field: nodes have another number in functions. */
function renumbered(bytes: Uint8Array, number: number): Uint8Array {
  const [field] = fieldsOf(bytes);
  return field === undefined ? bytes : bytesField(number, [bytes.subarray(field.start, field.end)]);
}

const nodeFieldOf = ({ number }: Field): number | undefined => {
  if (number === MODEL.graph) return GRAPH_NODE;
  return number === MODEL.function ? FUNCTION_NODE : undefined;
};

function findingsIn(bytes: Uint8Array, opset: number): ReadonlyMap<number, Finding> {
  const finder = new Finder(bytes);
  for (const field of fieldsOf(bytes)) {
    const nodeField = nodeFieldOf(field);
    if (nodeField !== undefined) finder.look(field, nodeField);
  }
  const isApt = ({ kind }: Finding): boolean => kind !== 'TopK' || opset >= LEAST_OPSET_OF_TOPK;
  return new Map([...finder.found].filter(([, finding]) => isApt(finding)));
}

/** The file with a guard around each node that needs one; undefined: none does. */
export function withGuards(bytes: Uint8Array, opset: number): Uint8Array | undefined {
  const found = findingsIn(bytes, opset);
  if (found.size === 0) return undefined;
  const rewriter = new Rewriter(bytes, found);
  const parts = Array.from(fieldsOf(bytes), (field) => {
    const nodeField = nodeFieldOf(field);
    return nodeField === undefined ? rawOf(bytes, field) : rewriter.nodesIn(field, nodeField);
  });
  return Buffer.concat(parts);
}

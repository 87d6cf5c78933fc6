import { bytesField } from '../wire';
import { branch, castTo, constant, INT64, node } from './build';
import type { Guarded } from './guarded';

// ONNX Runtime divides by the number of rows in TopK: without rows the process ends with SIGFPE. So
// each TopK goes behind a branch: of nothing the largest are nothing.

/** The nodes that replace a TopK. */
export function guardedTopK({ own, rest, name }: Guarded): Uint8Array[] {
  const [input = '', count = ''] = own.inputs;
  const axis = own.attributes.get('axis')?.numbers[0] ?? -1;
  const values = [name('none'), name('nowhere')] as const;
  const empty = [
    constant(name('from'), 0, 'list'),
    constant(name('axis'), axis, 'list'),
    node('Slice', [input, name('from'), count, name('axis')], [values[0]]),
    node('Cast', [values[0]], [values[1]], castTo(INT64)),
  ];
  const inner = [name('values'), name('places')];
  const full = bytesField(1, [
    ...own.inputs.map((one) => bytesField(1, one)),
    ...inner.map((one) => bytesField(2, one)),
    ...rest,
  ]);
  const outputs = own.outputs.map((output, place) => (output === '' ? name(`o${place}`) : output));
  return [
    node('Size', [input], [name('size')]),
    constant(name('zero'), 0, 'scalar'),
    node('Equal', [name('size'), name('zero')], [name('isEmpty')]),
    node(
      'If',
      [name('isEmpty')],
      outputs,
      branch('then_branch', empty, values.slice(0, outputs.length)),
      branch('else_branch', [full], inner.slice(0, outputs.length)),
    ),
  ];
}

import { bytesField } from '../wire';
import { castTo, constant, INT32, INT64, node } from './build';
import type { Guarded } from './guarded';

// The lowest integer by −1 is one more than there are: x86 traps, and the process ends with SIGFPE;
// ARM gives the lowest again. So each divisor of −1 is made 1, and the quotient changes its sign,
// which gives the lowest again here, too. What is left of a division by −1 or 1 is 0 in any case.
//
//   isMinus = b == −1;  sign = int(not isMinus) − int(isMinus)
//   a / b  becomes  (a / (b · sign)) · sign;  a % b becomes  a % (b · sign)
//
// Of operators that all operator sets have which ONNX Runtime can run.

/** The nodes that replace a Div or Mod of integers. */
export function guardedDivision({ own, rest, name }: Guarded, type: number): Uint8Array[] {
  const [a = '', b = ''] = own.inputs;
  const [output = ''] = own.outputs;
  const width = type === INT32 ? INT32 : INT64;
  const isDivision = own.operator === 'Div';
  const quotient = isDivision ? name('quotient') : output;
  return [
    constant(name('minus'), -1, 'scalar', width),
    node('Equal', [b, name('minus')], [name('isMinus')]),
    node('Not', [name('isMinus')], [name('isOther')]),
    node('Cast', [name('isMinus')], [name('minuses')], castTo(width)),
    node('Cast', [name('isOther')], [name('others')], castTo(width)),
    node('Sub', [name('others'), name('minuses')], [name('sign')]),
    node('Mul', [b, name('sign')], [name('divisor')]),
    bytesField(1, [
      bytesField(1, a),
      bytesField(1, name('divisor')),
      bytesField(2, quotient),
      ...rest,
    ]),
    ...(isDivision ? [node('Mul', [quotient, name('sign')], [output])] : []),
  ];
}

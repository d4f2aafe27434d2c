/** Calls of WGSL's own functions. */
import { each, type Value } from './javascript.ts';
import { isFloat, meet, scalar, type Type } from './types.ts';

/** Counts an operation on each component of a type, unless all it is done to is constant. */
type Count = (name: string, type: Type, ...operands: Value[]) => void;

export const WAITS = ['workgroupBarrier', 'storageBarrier'];
export const SUBGROUP = ['subgroupAdd', 'subgroupMax', 'quadSwapX', 'quadSwapY', 'quadSwapDiagonal'];
/** Functions of float components. */
const MATH = [
  'abs',
  'exp',
  'exp2',
  'log',
  'log2',
  'sqrt',
  'inverseSqrt',
  'tanh',
  'max',
  'min',
  'floor',
  'ceil',
];

/** Undefined for a function that is none of them. */
export function builtinCall(name: string, args: Value[], count: Count): Value | undefined {
  const type = args
    .map((arg) => arg.type)
    .reduce((a, b) => (b.scalar === 'bool' ? a : meet(a, b)), args[0]?.type ?? scalar('u32'));
  const constant = args.every((arg) => arg.constant);
  const list = (): string => args.map(({ js }) => js).join(', ');
  if (WAITS.includes(name)) return { js: `(yield)`, type: scalar('bool') };
  if (SUBGROUP.includes(name)) {
    count(name, type, ...args);
    return { js: `(yield ['${name}', ${list()}])`, type };
  }
  if (MATH.includes(name)) {
    count(name, type, ...args);
    const round = isFloat(type);
    return {
      js: each(type.width, args, (xs) =>
        round ? `F(math.${name}(${xs.join(', ')}))` : `math.${name}(${xs.join(', ')})`,
      ),
      type,
      constant,
    };
  }
  switch (name) {
    case 'fma':
      count('mac', type, ...args);
      return { js: each(type.width, args, ([a, b, c]) => `F(${a} * ${b} + ${c})`), type };
    case 'dot':
      count('mac', type, ...args);
      return { js: `math.dot(${list()})`, type: scalar(type.scalar ?? 'f32'), inner: true };
    case 'clamp':
      count('max', type, ...args);
      count('min', type, ...args);
      return {
        js: each(type.width, args, ([x, low, high]) => `Math.min(Math.max(${x}, ${low}), ${high})`),
        type,
      };
    case 'select': {
      const result = { ...meet(args[0].type, args[1].type) };
      count('select', result, ...args);
      return {
        js: each(result.width, args, ([no, yes, which]) => `choose(${no}, ${yes}, ${which})`),
        type: result,
      };
    }
    case 'unpack2x16float':
      count('convert', scalar('f32', 2), ...args);
      return { js: `math.unpack2x16float(${list()})`, type: scalar('f32', 2) };
    case 'any':
    case 'all':
      return {
        js: `[${list()}].flat().${name === 'any' ? 'some' : 'every'}(Boolean)`,
        type: scalar('bool'),
      };
    default:
      return undefined;
  }
}

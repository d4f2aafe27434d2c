/** JavaScript for what WGSL computes, as text. */
import { scalar, words, type Scalar, type Type } from './types.ts';

/** An expression. */
export interface Value {
  js: string;
  type: Type;
  /** Known when the shader is compiled: costs nothing. */
  constant?: boolean;
  /** A dot product: as many multiply-adds as it has components where it is added to something. */
  inner?: boolean;
  /** Where it lies in storage: the buffer, and its first word. */
  stored?: { buffer: string; at: string };
  /** Where it lies elsewhere: what holds it, and under which key. */
  held?: { container: string; key: string };
  /** A variable, or a part of one: to be copied where it is kept. */
  variable?: boolean;
}

export const COMPARISONS = ['==', '!=', '<', '>', '<=', '>='];

/** Literals become i32 and f32 where nothing else is said. */
export const settled = (type: Type, constant: boolean): Type =>
  constant
    ? type
    : { ...type, scalar: type.scalar === 'int' ? 'i32' : type.scalar === 'float' ? 'f32' : type.scalar };

export function literal(token: string): Value {
  const hex = token.startsWith('0x');
  const suffix = /[ui]$/.test(token) ? token.slice(-1) : !hex && token.endsWith('f') ? 'f' : '';
  const js = suffix ? token.slice(0, -1) : token;
  const float = suffix === 'f' || (!hex && /[.eE]/.test(js));
  const name: Scalar =
    suffix === 'u' ? 'u32' : suffix === 'i' ? 'i32' : float ? (suffix ? 'f32' : 'float') : 'int';
  return { js: float ? `F(${Number(js)})` : String(Number(js)), type: scalar(name), constant: true };
}

/** One operation on scalars. */
export function arithmetic(operator: string, type: Scalar, a: string, b: string): string {
  if (operator === '==' || operator === '!=') return `(${a} ${operator}= ${b})`;
  if (COMPARISONS.includes(operator)) return `(${a} ${operator} ${b})`;
  if (type === 'bool') return `Boolean(${a} ${operator} ${b})`;
  if (type === 'f32' || type === 'float') return `F(${a} ${operator} ${b})`;
  const product = operator === '*' ? `Math.imul(${a}, ${b})` : undefined;
  if (type === 'u32') return `((${product ?? `${a} ${operator === '>>' ? '>>>' : operator} ${b}`}) >>> 0)`;
  return `((${product ?? `${a} ${operator} ${b}`}) | 0)`;
}

/** A function of scalars on each component. */
export function each(width: number, args: Value[], one: (xs: string[]) => string): string {
  if (width === 1) return one(args.map(({ js }) => js));
  const names = args.map((_, i) => `x${i}`);
  const parts = Array.from({ length: width }, (_, i) =>
    one(args.map(({ type }, j) => (type.width > 1 ? `${names[j]}[${i}]` : names[j]))),
  );
  return `((${names.join(', ')}) => [${parts.join(', ')}])(${args.map(({ js }) => js).join(', ')})`;
}

export function conversion(js: string, from: Scalar, to: Scalar): string {
  if (from === to) return js;
  if (to === 'f32') return `F(${js})`;
  if (to === 'bool') return `(${js} !== 0)`;
  const number = from === 'bool' ? `Number(${js})` : js;
  return to === 'u32' ? `(${from === 'f32' ? `Math.max(0, ${number})` : number} >>> 0)` : `(${number} | 0)`;
}

export const view = ({ scalar: name }: Type): string =>
  name === 'f32' ? 'f32' : name === 'i32' ? 'i32' : 'u32';

export function load({ buffer, at }: { buffer: string; at: string }, type: Type): string {
  if (type.fields) {
    let before = 0;
    const parts = Object.entries(type.fields).map(([name, field]) => {
      const part = `${name}: ${load({ buffer, at: `at + ${before}` }, field)}`;
      before += words(field);
      return part;
    });
    return `(at => ({ ${parts.join(', ')} }))(${at})`;
  }
  return `${buffer}.load(${at}, ${type.width}, '${view(type)}')`;
}
export const store = ({ buffer, at }: { buffer: string; at: string }, type: Type, value: string): string =>
  `${buffer}.store(${at}, ${value}, '${view(type)}')`;

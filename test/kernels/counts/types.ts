/** Types of WGSL, as far as shaders/ uses it. */

/** `int` and `float` are literals that take the type of what they meet. */
export type Scalar = 'f32' | 'i32' | 'u32' | 'bool' | 'int' | 'float';

export interface Type {
  /** Of a scalar or of a vector's components. */
  scalar?: Scalar;
  /** Components; 1 of a scalar. */
  width: number;
  /** Of an array: its elements, and how many; runtime-sized where that is absent. */
  of?: Type;
  count?: number;
  /** Of a structure. */
  fields?: Readonly<Record<string, Type>>;
}

export const scalar = (name: Scalar, width = 1): Type => ({ scalar: name, width });
export const isFloat = ({ scalar: name }: Type): boolean => name === 'f32' || name === 'float';

const letters: Readonly<Record<string, Scalar>> = { f: 'f32', i: 'i32', u: 'u32' };

/** `f32`, `vec3u`, …; undefined for what is none of them. */
export function builtinType(name: string): Type | undefined {
  if (name === 'f32' || name === 'i32' || name === 'u32' || name === 'bool') return scalar(name);
  const vector = /^vec([234])([fiu])$/.exec(name);
  return vector ? scalar(letters[vector[2]], Number(vector[1])) : undefined;
}

/** Words of 4 bytes that it takes in a buffer. */
export function words({ width, of, count, fields }: Type): number {
  if (of) return (count ?? NaN) * words(of);
  return fields ? Object.values(fields).reduce((sum, field) => sum + words(field), 0) : width;
}

/** JavaScript for its zero. */
export function zero({ scalar: name, width, of, count, fields }: Type): string {
  if (of) return `Array.from({ length: ${count} }, () => ${zero(of)})`;
  if (fields)
    return `({ ${Object.entries(fields)
      .map(([field, type]) => `${field}: ${zero(type)}`)
      .join(', ')} })`;
  const one = name === 'bool' ? 'false' : '0';
  return width === 1 ? one : `[${Array.from({ length: width }, () => one).join(', ')}]`;
}

/** The type that two operands meet in: literals take the other's, a scalar goes with each component of a vector. */
export function meet(a: Type, b: Type): Type {
  const name = a.scalar === 'int' || (a.scalar === 'float' && b.scalar !== 'int') ? b.scalar : a.scalar;
  return { scalar: name, width: Math.max(a.width, b.width) };
}

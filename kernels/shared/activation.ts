import { InputError } from '../errors.ts';

/** `gelu` is exact; `gelu_tanh` its approximation by tanh (Hendrycks and Gimpel 2016), which ALBERT was trained with. */
export type Activation = 'none' | 'relu' | 'gelu' | 'tanh' | 'sigmoid' | 'gelu_tanh' | 'softplus';

const codes: Record<Activation, number> = {
  none: 0,
  relu: 1,
  gelu: 2,
  tanh: 3,
  sigmoid: 4,
  gelu_tanh: 5,
  softplus: 6,
};
/** Operations per element of shaders/common/activation.wgsl. gelu: 4 around erf, erf 27 with its exp and division; tanh is clamped first. */
const flops: Record<Activation, number> = {
  none: 0,
  relu: 1,
  gelu: 31,
  tanh: 3,
  sigmoid: 3,
  gelu_tanh: 11,
  softplus: 22,
};
/** Operations per element of the derivative times the upstream gradient (shaders/activation-backward.wgsl). */
const backwardFlops: Record<Activation, number> = {
  none: 0,
  relu: 1,
  gelu: 37,
  tanh: 3,
  sigmoid: 3,
  gelu_tanh: 20,
  softplus: 4,
};

export const activationCode = (activation: Activation): number => codes[activation];
/** The backward needs the value before the activation; that of the others is a function of the value after it. */
export const needsPre = (activation: Activation): boolean =>
  activation === 'gelu' || activation === 'gelu_tanh' || activation === 'softplus';
export const activationFlops = (activation: Activation): number => flops[activation];
export const activationBackwardFlops = (activation: Activation): number => backwardFlops[activation];

/** Checks a value from outside. */
export function parseActivation(kernel: string, value: unknown): Activation {
  if (value === undefined) return 'none';
  if (typeof value === 'string' && Object.hasOwn(codes, value)) return value as Activation;
  throw new InputError(
    `${kernel}: parameter "activation" must be one of ${Object.keys(codes).join(', ')}, got ${JSON.stringify(value)}`,
  );
}

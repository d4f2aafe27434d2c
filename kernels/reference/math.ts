import { sigmoid } from '../shared/host-math.ts';

export { sigmoid, softmaxRow } from '../shared/host-math.ts';

/**
 * The complementary error function 1 − erf(x), to about 1e-15 relative.
 *
 * Below 1 it is 1 − erf by the series erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!! (DLMF 7.6.2), whose terms
 * are all of one sign; above, the continued fraction erfc(x) = e^(−x²)/√π · 1/(x + ½/(x + 1/(x + 3⁄2/(x + …))))
 * (DLMF 7.9.1), evaluated from its 200th level upwards, which keeps the tail's relative accuracy.
 */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x < 1) return 1 - erfSeries(x);
  let fraction = x;
  for (let n = 200; n >= 1; n--) fraction = x + n / 2 / fraction;
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
}

/** The error function erf(x) = 2/√π ∫₀ˣ e^(−t²) dt, to about 1e-15 relative; see `erfc` for the formulas. */
export function erf(x: number): number {
  return Math.abs(x) < 1 ? erfSeries(x) : Math.sign(x) * (1 - erfc(Math.abs(x)));
}

function erfSeries(x: number): number {
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** The activations of `linear`. */
export type Activation = 'none' | 'relu' | 'gelu' | 'tanh' | 'sigmoid' | 'gelu_tanh' | 'softplus';

/** A function of one number and its derivative. */
export interface ScalarFunction {
  value(x: number): number;
  derivative(x: number): number;
}

/** tanh(√(2/π)(x + 0.044715x³)), near 2Φ(x) − 1. */
const geluInner = (x: number): number => Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));

/**
 * Each activation of `linear` beside its derivative. `gelu` is the exact x·Φ(x), `gelu_tanh` has Φ by tanh; relu's
 * derivative at 0 is 0.
 */
export const activations: Readonly<Record<Activation, ScalarFunction>> = {
  none: { value: (x) => x, derivative: () => 1 },
  relu: { value: (x) => (x > 0 ? x : 0), derivative: (x) => (x > 0 ? 1 : 0) },
  gelu: {
    value: (x) => 0.5 * x * erfc(-x / Math.SQRT2),
    derivative: (x) => 0.5 * erfc(-x / Math.SQRT2) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI),
  },
  tanh: { value: Math.tanh, derivative: (x) => 1 - Math.tanh(x) ** 2 },
  gelu_tanh: {
    value: (x) => 0.5 * x * (1 + geluInner(x)),
    derivative: (x) => {
      const t = geluInner(x);
      const slope = Math.sqrt(2 / Math.PI) * (1 + 3 * 0.044715 * x * x);
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * slope;
    },
  },
  sigmoid: { value: sigmoid, derivative: (x) => sigmoid(x) * (1 - sigmoid(x)) },
  softplus: { value: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), derivative: sigmoid },
};

/**
 * The gradient of one row of scores from the row's probabilities p and the gradient g of those:
 * p_i · (g_i − Σ_j p_j g_j).
 */
export function softmaxRowBackward(probabilities: Float64Array, grad: ArrayLike<number>): Float64Array {
  let dot = 0;
  for (let i = 0; i < probabilities.length; i++) dot += probabilities[i] * grad[i];
  return probabilities.map((p, i) => p * (grad[i] - dot));
}

/**
 * A-priori error bounds of kernels: what rounding as WGSL allows it (rounding.ts) may do to their results at most. Each
 * is a number of roundings, from the lengths of sums and the functions used, times what the reference gives when no term
 * cancels another (magnitudes for inputs), or times a number that no element exceeds.
 */
import { attentionBounds, contextAttentionBounds, segmentAttentionBounds } from './bounds.attention.ts';
import { layerNormBounds } from './bounds.layer-norm.ts';
import {
  allMagnitudes,
  DIVISION,
  exponential,
  exponentialOfDifference,
  largestOf,
  relative,
  ROUNDED,
  SQUARE_ROOT,
  type Bounds,
  type Checked,
  type KernelBounds,
} from './rounding.ts';
import { sizeOf } from './shapes.ts';
import type { RefParams, RefTensors } from './types.ts';

type Count = (c: Checked) => number;
/** The size of axis `axis` of an input; negative from the last. */
const axis = ({ inputs }: Checked, name: string, at: number): number => inputs[name].shape.at(at) ?? 1;
const none: Count = () => 0;

const positiveParams = (params: RefParams): RefParams =>
  Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === 'number' ? Math.abs(value) : value,
    ]),
  );

const larger = (a: RefTensors, b: RefTensors): RefTensors =>
  Object.fromEntries(
    Object.entries(a).map(([name, { shape, data }]) => [
      name,
      { shape, data: Float64Array.from(data, (x, i) => Math.max(x, Math.abs(b[name].data[i]))) },
    ]),
  );

/** `ulps` roundings of each element of `of`. */
const roundings = (of: RefTensors, ulps: number): Bounds =>
  Object.fromEntries(Object.entries(of).map(([name, { data }]) => [name, { ulps, of: data }]));

/** The gradients without cancellation. Where the signs of input `chosen` choose what is read, the larger of both readings. */
function gradientMagnitudes({ reference, inputs, params, grads }: Checked, chosen?: string): RefTensors {
  const [sizes, upstream] = [allMagnitudes(inputs), allMagnitudes(grads)];
  const all = reference.backward!(sizes, positiveParams(params), upstream);
  return chosen === undefined
    ? all
    : larger(
        all,
        reference.backward!({ ...sizes, [chosen]: inputs[chosen] }, positiveParams(params), upstream),
      );
}

/** A kernel that is linear in each of its inputs, with the roundings of a term on its way into the result. */
const linearIn = (why: string, forward: Count, backward?: Count, chosen?: string): KernelBounds => ({
  why,
  forward: (c) =>
    roundings(c.reference.forward(allMagnitudes(c.inputs), positiveParams(c.params)), forward(c)),
  backward: backward && ((c) => roundings(gradientMagnitudes(c, chosen), backward(c))),
});

/** An activation has slopes up to 1.13 (gelu) that change by at most 1 a unit, and is computed to within 100 ULP of 1 + |x|. */
const [STEEPEST, ACTIVATION] = [1.13, 100];

const linear: KernelBounds = {
  why: 'sums over in (forward), out and rows (backward); gelu: erf as a polynomial and exp, slope at most 1.13',
  forward({ reference, inputs, params }) {
    const sizes = reference.forward(allMagnitudes(inputs), { ...params, activation: 'none' }).out.data;
    const terms = inputs.weight.shape[1] + ROUNDED;
    if ((params.activation ?? 'none') === 'none') return { out: { ulps: terms, of: sizes } };
    return { out: { ulps: STEEPEST * terms + ACTIVATION, of: sizes.map((x) => 1 + x) } };
  },
  backward(c) {
    const { reference, inputs, params } = c;
    const plain = { ...c, params: { ...params, activation: 'none' } };
    const activated = (params.activation ?? 'none') !== 'none';
    const pre = largestOf(reference.forward(allMagnitudes(inputs), plain.params).out);
    const slope = activated ? (inputs.weight.shape[1] + ROUNDED) * pre + ACTIVATION : 0;
    const [rows, out] = [sizeOf(inputs.x.shape.slice(0, -1)), inputs.weight.shape[0]];
    const terms: Record<string, number> = { grad_x: out, grad_weight: rows, grad_bias: rows };
    return Object.fromEntries(
      Object.entries(gradientMagnitudes(plain)).map(([name, { data }]) => [
        name,
        { ulps: (activated ? STEEPEST : 1) * terms[name] + slope, of: data },
      ]),
    );
  },
};

const softmax: KernelBounds = {
  why: 'exp of a difference twice, a sum of n, a division; backward: a sum of n of p g',
  forward: (c) => ({ out: { ulps: softmaxUlps(c), of: c.expected.out.data } }),
  backward(c) {
    const p = c.expected.out.data;
    const largest = largestOf(c.grads.grad_out);
    const ulps = 2 * softmaxUlps(c) + axis(c, 'x', -1) + 2 * ROUNDED;
    return { grad_x: { ulps, of: Float64Array.from(p, (x) => 2 * largest * x) } };
  },
};
const softmaxUlps = (c: Checked): number =>
  2 * exponentialOfDifference(2 * largestOf(c.inputs.x)) + axis(c, 'x', -1) + DIVISION;

/** log1p as a series in x / (2 + x), with positive terms alone, or as the logarithm of 1 + x. */
const LOG1P = 25;

const crossEntropy: KernelBounds = {
  why: 'exp of a difference, a sum of classes, log1p; the mean of the rows. Backward: no term cancels, relative',
  forward(c) {
    const [rows, classes] = c.inputs.logits.shape;
    const range = 2 * largestOf(c.inputs.logits);
    const others = classes * (exponentialOfDifference(range) + classes);
    const largest = range + Math.log(classes);
    return { loss: { ulps: others + range + LOG1P * (1 + Math.log(classes)) + (rows + 2) * largest, of: 1 } };
  },
  backward(c) {
    const classes = axis(c, 'logits', 1);
    const range = 2 * largestOf(c.inputs.logits);
    return relative(c.gradients, 2 * (exponentialOfDifference(range) + classes) + DIVISION + 3 * ROUNDED);
  },
};

const binaryCrossEntropy: KernelBounds = {
  why: 'exp, log1p, a sum of all elements, none of which cancels: relative',
  forward: (c) =>
    relative(c.expected, exponential(largestOf(c.inputs.logits)) + LOG1P + sizeOf(c.inputs.logits.shape) + 3),
  backward: (c) =>
    relative(c.gradients, 2 * exponential(largestOf(c.inputs.logits)) + DIVISION + 4 * ROUNDED),
};

const adamw: KernelBounds = {
  why: 'beta m + (1 - beta) g and its square root, a division, the step; each a few roundings of magnitudes',
  forward({ reference, inputs, params }) {
    const param = { ...inputs.param, data: inputs.param.data.map((x) => -Math.abs(x)) };
    const sizes = reference.forward({ ...allMagnitudes(inputs), param }, params);
    return roundings(allMagnitudes(sizes), 8 * ROUNDED + DIVISION + SQUARE_ROOT + 5 / 2);
  },
};

const clipGradNorm: KernelBounds = {
  why: 'a sum of squares of all elements, which a square root halves; a division',
  forward: (c) => {
    const terms = Object.entries(c.inputs).filter(([name]) => name !== 'runs');
    const all = terms.reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
    return relative(c.expected, all / 2 + SQUARE_ROOT + ROUNDED + DIVISION);
  },
};

const graphAdjacency: KernelBounds = {
  why: 'positive weights: a sum of nodes and a division, relative; backward: another sum of nodes',
  forward: (c) => relative(c.expected, axis(c, 'weights', -1) + DIVISION + 3 * ROUNDED),
  backward(c) {
    const ulps = 2 * axis(c, 'weights', -1) + 2 * DIVISION + 6 * ROUNDED;
    return { grad_weights: { ulps, of: 2 * largestOf(c.grads.grad_out) * largestOf(c.expected.out) } };
  },
};

const spanTerms: Count = (c) => axis(c, 'spans', 0) + sizeOf(c.inputs.x.shape.slice(0, -1));

/** The bounds of each kernel, by its name. */
export const errorBounds: Readonly<Record<string, KernelBounds>> = {
  adamw,
  add: linearIn('one sum; gradients are copies', () => ROUNDED, none),
  attention: attentionBounds,
  'binary-cross-entropy': binaryCrossEntropy,
  'clip-grad-norm': clipGradNorm,
  'column-sum': linearIn('a sum of the rows; the gradient is copies', (c) => axis(c, 'x', 0), none),
  concat: linearIn('copies', none, none),
  'context-attention': contextAttentionBounds,
  'cross-entropy': crossEntropy,
  dropout: linearIn(
    'a product with 1 / (1 - p), which is rounded',
    () => 3 * ROUNDED,
    () => 3 * ROUNDED,
  ),
  embedding: linearIn('copies; backward a sum of as many as there are ids', none, (c) =>
    sizeOf(c.inputs.ids.shape),
  ),
  'graph-adjacency': graphAdjacency,
  'graph-convolution': linearIn(
    'a sum of nodes; backward of nodes or of columns',
    (c) => axis(c, 'x', 1),
    (c) => axis(c, 'x', 1) + axis(c, 'x', 2),
  ),
  'layer-norm': layerNormBounds,
  linear,
  mul: linearIn(
    'one product',
    () => ROUNDED,
    () => ROUNDED,
  ),
  'range-max-pool': linearIn('copies; backward a sum of ranges', none, (c) => axis(c, 'ranges', 0), 'x'),
  scale: linearIn(
    'a product with a rounded factor, a sum',
    () => 3 * ROUNDED,
    () => 2 * ROUNDED,
  ),
  'segment-attention': segmentAttentionBounds,
  'sliding-average-pool': linearIn(
    'a sum as long as the window, a division; backward a sum over the windows',
    (c) => Math.max(...(c.params.scales as number[])) + DIVISION,
    (c) => (c.params.scales as number[]).reduce((a, b) => a + b, 0) + DIVISION,
  ),
  softmax,
  'span-enumerate': linearIn('whole numbers', none),
  'span-representation': linearIn(
    'copies; backward a sum of spans',
    none,
    (c) => 2 * axis(c, 'spans', 0),
    'x',
  ),
  'span-score': linearIn(
    'sums over the columns, three rows added; backward over spans, tokens, classes',
    (c) => axis(c, 'weight', 1) + 3 * ROUNDED,
    (c) => spanTerms(c) + axis(c, 'weight', 0),
    'x',
  ),
  split: linearIn('copies', none, none),
  sum: linearIn('a sum of all elements; the gradient is copies', (c) => sizeOf(c.inputs.x.shape), none),
  'visibility-attention': attentionBounds,
  'weighted-sum': linearIn(
    'a sum of the parts; backward of all elements',
    (c) => sizeOf(c.inputs.weights.shape),
    (c) => sizeOf(c.inputs.x0.shape),
  ),
};

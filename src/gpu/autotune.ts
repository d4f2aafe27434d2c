/** Times the forms of matrix products on a device. Its answers are data (tuning.ts): plans stay pure functions. */
import { relativeError } from '../../kernels/shared/relative-error.ts';
import { spec, type Caps, type Plan } from '../../kernels/plan.ts';
import { matmulForms, type MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { matmul } from '../../kernels/shared/matmul.ts';
import { shapeClass, variantOf, type MatmulVariant } from '../../kernels/shared/matmul-variant.ts';
import { chooseParts } from '../../kernels/shared/weight-gradient.ts';
import { deviceMs } from './device-time.ts';
import type { Runtime } from './runtime.ts';
import { productShape, type Product, type TunedProduct } from './tuning.ts';

/** A form whose result differs from the default's by more is no candidate. */
const TOLERANCE = 1e-4;
/** A sample lasts at least this long: far above the step of any clock. */
const SAMPLE_MS = 20;
const MAX_REPEATS = 1000;
/** The forms take turns, so that what else the machine does meets all alike. */
const ROUNDS = 5;
/** A form replaces the default where median and best sample are below this part of the default's: less is noise. */
const GAIN = 0.95;

/** Milliseconds of `repeats` recordings of one form. */
export type FormTimer = (form: MatmulForm, record: () => void, repeats: number) => Promise<number>;

/** The products of `linear` for x [rows, inputs] and weight [outputs, inputs]: out, grad_x, grad_weight. */
export function productsOfLinear(rows: number, inputs: number, outputs: number, caps: Caps): Product[] {
  const size = Math.ceil(rows / chooseParts(rows, outputs, inputs, caps));
  const one = { batches: 1, transA: false, transB: false };
  return [
    { ...one, m: rows, n: outputs, k: inputs, transB: true },
    { ...one, m: rows, n: inputs, k: outputs },
    { ...one, m: outputs, n: inputs, k: size, batches: Math.ceil(rows / size), transA: true },
  ];
}

/** One of each class of shapes: the first. */
export function distinctClasses<P extends Product>(products: readonly P[]): P[] {
  const byClass = new Map<string, P>();
  for (const product of products) {
    const key = shapeClass(productShape(product));
    if (!byClass.has(key)) byClass.set(key, product);
  }
  return [...byClass.values()];
}

/** The product in one form: a plan from a and b to c. */
function planOf(product: Product, form: MatmulForm, caps: Caps): Plan {
  const { m, n, k, batches, transA, transB } = product;
  const dispatch = matmul(
    {
      label: 'tune',
      ...{ m, n, k, transA, transB, outer: batches },
      a: { tensor: 'a', row: transA ? m : k, outer: m * k },
      b: { tensor: 'b', row: transB ? k : n, outer: k * n },
      c: { tensor: 'c', row: n, outer: m * n },
    },
    caps,
    variantOf(form, productShape(product), caps),
  );
  return { dispatches: [dispatch], scratch: {}, outputs: { c: spec([batches, m, n]) }, data: {} };
}

/** A form whose tile is larger than the default's and has so many times the elements of C computes little but padding. */
const PADDING = 16;

/**
 * The forms that are not the same as one before, the default, which comes first, being one of the others; and those not that
 * compute little but padding: they take seconds to compile.
 */
function distinctForms(product: Product, caps: Caps): MatmulForm[] {
  const shape = productShape(product);
  const tileOf = ({ rows, columns }: MatmulVariant): number => rows * columns;
  const most = Math.max(PADDING * product.m * product.n, tileOf(variantOf('default', shape, caps)));
  const seen = new Set<string>();
  return matmulForms.filter((form) => {
    const chosen = variantOf(form, shape, caps);
    if (tileOf(chosen) > most) return false;
    const variant = JSON.stringify(chosen);
    return !seen.has(variant) && seen.add(variant);
  });
}

/** Values in [-1, 1) without a pattern that would hide a wrong index. */
const values = (size: number, step: number): Float32Array =>
  Float32Array.from({ length: size }, (_, i) => ((i * step) % 1021) / 510.5 - 1);

const median = (samples: readonly number[]): number =>
  [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)];

/**
 * Times every form of a product on the runtime's device, after a first run that compiles it and whose result must agree
 * with the default's; medians of interleaved samples. The default stays unless another is faster by 5 %, in its best
 * sample too: on a busy machine a median alone may be that of the neighbours' work.
 * Errors: whatever the device refuses, e.g. OutOfMemoryError.
 * @param time stands in for the device's clock, in tests
 */
export async function tuneProduct(
  runtime: Runtime,
  product: Product,
  time: FormTimer = (_, record, repeats) => deviceMs(runtime, record, repeats),
): Promise<TunedProduct> {
  const { m, n, k, batches } = product;
  return runtime.scope(async () => {
    const inputs = {
      a: runtime.upload(values(batches * m * k, 389), [batches, m, k]),
      b: runtime.upload(values(batches * k * n, 577), [batches, k, n]),
    };
    let expected: ArrayLike<number> | undefined;
    const candidates: { form: MatmulForm; record: () => void; repeats: number; samples: number[] }[] = [];
    for (const form of distinctForms(product, runtime.caps)) {
      const plan = planOf(product, form, runtime.caps);
      const { c } = runtime.run(plan, inputs);
      const actual = await c.read();
      c.release();
      expected ??= actual;
      if (!(relativeError(actual, expected) <= TOLERANCE)) continue;
      const record = () => runtime.run(plan, inputs).c.release();
      const once = await time(form, record, 1);
      const repeats = Math.max(1, Math.min(MAX_REPEATS, Math.ceil(SAMPLE_MS / Math.max(once, 1e-3))));
      candidates.push({ form, record, repeats, samples: [] });
    }
    for (let round = 0; round < ROUNDS; round++)
      for (const { form, record, repeats, samples } of candidates)
        samples.push((await time(form, record, repeats)) / repeats);
    const ms = Object.fromEntries(candidates.map(({ form, samples }) => [form, median(samples)]));
    const [byDefault] = candidates;
    const faster = candidates
      .filter(
        ({ form, samples }) =>
          ms[form] < GAIN * ms.default && Math.min(...samples) < GAIN * Math.min(...byDefault.samples),
      )
      .sort((f, g) => ms[f.form] - ms[g.form]);
    return { ...product, form: faster[0]?.form ?? 'default', ms };
  });
}

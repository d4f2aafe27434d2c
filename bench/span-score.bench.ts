/**
 * `bench span-score`: scoring every span without the matrix of span representations, against the composed form
 * (`span-representation`, then `linear`) which makes it. The shape: 256 tokens of
 * BERT-base, spans of up to ten.
 */
import { linear } from '../kernels/linear.ts';
import { sizeOf, type Kernel, type Plan, type Shape } from '../kernels/plan.ts';
import { references } from '../kernels/reference/index.ts';
import { spanRepresentation } from '../kernels/span-representation.ts';
import { spanScore } from '../kernels/span-score.ts';
import type { Runtime, Tensor } from '../src/node.ts';
import { enumerateSpans } from '../src/tasks/spans/enumerate.ts';
import { checked, makeDocument, onDevice, ownOptions, randomValues } from './harness.ts';
import type { Bench, BenchCheck, BenchRow } from './harness.ts';
import { interleave, warmUp, type Side, type WarmSide } from './statistics.ts';

const L = 256;
const MAX_WIDTH = 10;
const D = 768;
const WIDTH_SIZE = 25;
const N = 6;
const SHARE = 0.1;

const spans = enumerateSpans([L], MAX_WIDTH);
const S = spans.length / 3;
const host = { spans: { data: spans, shape: [S, 3] } };
/** Of the matrix [S, 2d+dw] that the composed form holds. */
const concatenatedBytes = 4 * S * (2 * D + WIDTH_SIZE);

type Tensors = Readonly<Record<string, Tensor | undefined>>;
/** Runs a kernel and its backward on the spans. */
type Run = (kernel: Kernel, inputs: Tensors) => Record<string, Tensor>;

interface Form {
  name: string;
  forward(run: Run, inputs: Tensors): Record<string, Tensor>;
  /** Gradients of all four inputs, given what `forward` returned. */
  backward(run: Run, inputs: Tensors, kept: Tensors, gradOut: Tensor): Record<string, Tensor>;
}

const backwardOf = (kernel: Kernel): Kernel => kernel.backward as Kernel;

const fused: Form = {
  name: 'span-score',
  forward: (run, inputs) => run(spanScore, inputs),
  backward: (run, inputs, _kept, grad_out) => run(backwardOf(spanScore), { ...inputs, grad_out }),
};

const composed: Form = {
  name: 'composed',
  forward(run, { x, width_embedding, weight, bias }) {
    const representation = run(spanRepresentation, { x, width_embedding }).out;
    return { representation, out: run(linear, { x: representation, weight, bias }).out };
  },
  backward(run, { x, width_embedding, weight, bias }, { representation, out }, grad_out) {
    const head = run(backwardOf(linear), { x: representation, weight, bias, out, grad_out });
    const tokens = run(backwardOf(spanRepresentation), { x, width_embedding, grad_out: head.grad_x });
    return { ...tokens, grad_weight: head.grad_weight, grad_bias: head.grad_bias };
  },
};

const bytesOf = (tensors: Plan['outputs']): number =>
  Object.values(tensors).reduce((sum, { shape }) => sum + 4 * sizeOf(shape), 0);

/** Plans and runs kernels, keeping the plans. */
function planner(runtime: Runtime, plans: Plan[]): Run {
  return (kernel, inputs) => {
    const ports = new Set(kernel.inputs.map((port) => port.name));
    const present = Object.entries(inputs).filter(([name, tensor]) => tensor && ports.has(name));
    const tensors = Object.fromEntries(present) as Record<string, Tensor>;
    const shapes: Record<string, Shape> = ports.has('spans') ? { spans: host.spans.shape } : {};
    for (const [name, { shape }] of Object.entries(tensors)) shapes[name] = shape;
    const wanted = kernel.outputs.map((port) => port.name);
    const plan = kernel.plan({ shapes, params: {}, caps: runtime.caps, host: { spans }, wanted });
    plans.push(plan);
    return runtime.run(plan, tensors);
  };
}

/** Most bytes that a sequence of plans holds at once: all outputs so far, and the scratch of the one that runs. */
function plannedBytes(plans: readonly Plan[]): number {
  let kept = 0;
  let most = 0;
  for (const { outputs, scratch } of plans) {
    kept += bytesOf(outputs);
    most = Math.max(most, kept + bytesOf(scratch));
  }
  return most;
}

/** Bytes of the host tables on the device: spans and what is derived from them. */
function tableBytes(plans: readonly Plan[]): number {
  const tables = new Set(plans.flatMap(({ data }) => Object.values(data)));
  return [...tables].reduce((sum, table) => sum + table.byteLength, 0);
}

type Pass = 'forward' | 'forward+backward';

interface Prepared {
  side: Side<Float32Array[]>;
  bytes: BenchRow;
}

/** One form and pass: its bytes by plan and by the runtime's counters, and a side to time. */
async function prepare(
  runtime: Runtime,
  form: Form,
  pass: Pass,
  inputs: Tensors,
  gradOut: Tensor,
  expected: Readonly<Record<string, ArrayLike<number>>>,
): Promise<Prepared> {
  const wanted = Object.keys(expected);
  const results = (plans: Plan[]): Tensor[] => {
    const run = planner(runtime, plans);
    const kept = form.forward(run, inputs);
    const all = pass === 'forward' ? kept : { ...kept, ...form.backward(run, inputs, kept, gradOut) };
    return wanted.map((name) => all[name]);
  };
  const plans: Plan[] = [];
  const before = runtime.memory.report().liveBytes;
  runtime.memory.resetPeak();
  await runtime.scope(async () => {
    results(plans);
    await runtime.finish();
  });
  const peakBytes = runtime.memory.report().peakBytes - before;
  const dispatches = plans.flatMap((plan) => plan.dispatches);
  const keptBytes = peakBytes + tableBytes(plans);
  return {
    side: {
      name: form.name,
      run: () => runtime.scope(async () => (await runtime.readAll(results([]))) as Float32Array[]),
      check: (values) =>
        Math.max(
          ...values.map((value, i) => checked(`${form.name} ${wanted[i]}`, value, expected[wanted[i]])),
        ),
    },
    bytes: {
      keptBytes,
      shareOfConcatenated: keptBytes / concatenatedBytes,
      ...{ peakBytes, plannedBytes: plannedBytes(plans), tableBytes: tableBytes(plans), concatenatedBytes },
      macs: dispatches.reduce((sum, d) => sum + d.macs, 0),
      flops: dispatches.reduce((sum, d) => sum + d.flops, 0),
    },
  };
}

const names = ['x', 'width_embedding', 'weight', 'bias'] as const;
const shapes: Readonly<Record<(typeof names)[number] | 'grad_out', readonly number[]>> = {
  x: [1, L, D],
  width_embedding: [MAX_WIDTH, WIDTH_SIZE],
  weight: [N, 2 * D + WIDTH_SIZE],
  bias: [N],
  grad_out: [S, N],
};

async function measure(runtime: Runtime, full: boolean, log: (line: string) => void) {
  const values = Object.fromEntries(
    Object.entries(shapes).map(([name, shape], i) => [name, { shape, data: randomValues(shape, i) }]),
  );
  const exact = Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [name, { shape, data: Float64Array.from(data) }]),
  );
  const given = { ...Object.fromEntries(names.map((name) => [name, exact[name]])), spans: host.spans };
  log('float64');
  const reference = references['span-score'];
  const { out } = reference.forward(given, {});
  const gradients = reference.backward?.(given, {}, { grad_out: exact.grad_out }) ?? {};
  const expected = {
    out: out.data,
    ...Object.fromEntries(Object.entries(gradients).map(([name, { data }]) => [name, data])),
  };
  const tensors = Object.fromEntries(
    Object.entries(values).map(([name, { shape, data }]) => [name, runtime.upload(data, shape)]),
  );
  const { grad_out: gradOut, ...inputs } = tensors;
  const rows: BenchRow[] = [];
  const checks: BenchCheck[] = [];
  for (const pass of ['forward', 'forward+backward'] as const) {
    log(pass);
    const wanted = pass === 'forward' ? { out: expected.out } : expected;
    const forms: Prepared[] = [];
    for (const form of [fused, composed])
      forms.push(await prepare(runtime, form, pass, inputs, gradOut, wanted));
    const sides: WarmSide<Float32Array[]>[] = [];
    for (const { side } of forms) sides.push(await warmUp(side));
    const timed = await interleave(sides, full ? { maxRounds: 100, budgetMs: 60_000 } : {});
    timed.forEach(({ name: form, median: ms, ...timing }, i) => {
      const ratioToOurs = ms / timed[0].median;
      rows.push({ form, pass, ms, ...timing, ratioToOurs, ...forms[i].bytes });
      const { peakBytes, plannedBytes: planned } = forms[i].bytes;
      checks.push({
        claim: `${form}, ${pass}: the runtime counts the bytes that the plans say`,
        holds: peakBytes === planned,
        measured: `${String(peakBytes)} and ${String(planned)}`,
      });
    });
    const share = Number(forms[0].bytes.shareOfConcatenated);
    checks.push({
      claim: `span-score, ${pass}: keeps under a tenth of the bytes of the concatenated [${S}, ${2 * D + WIDTH_SIZE}]`,
      holds: share < SHARE,
      measured: `${(100 * share).toFixed(2)} %`,
    });
  }
  return { rows, checks };
}

export const spanScoreBench: Bench = {
  doc: 'bytes and time of span-score against span-representation and linear (L 256, width 10, d 768)',
  run: ({ args, full, log }) => {
    ownOptions('span-score', args);
    return onDevice(async (runtime) => {
      const { rows, checks } = await runtime.scope(() => measure(runtime, full, log));
      return makeDocument('span-score', runtime, rows, checks, {
        shape: { L, maxWidth: MAX_WIDTH, d: D, dw: WIDTH_SIZE, N, spans: S },
      });
    });
  },
};

/** What the plans say of multiply-adds, FLOPs and bytes, against a count of what their WGSL executes. */
import { readdirSync } from 'node:fs';
import test from 'tape';
import {
  defaultCaps,
  kernels,
  type Caps,
  type Dispatch,
  type Kernel,
  type Plan,
} from '../../../kernels/index.ts';
import { references } from '../../../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../../../kernels/reference/types.ts';
import { narrowToHalves, widenHalves } from '../../../src/io/half.ts';
import { relativeError } from '../../relative-error.ts';
import { wholeCases } from './cases.ts';
import { conventions } from './conventions.ts';
import type { Counts } from './execute.ts';
import { countRun } from './passes.ts';

/** The forms of a GPU at the default limits, and those of a software device. */
const devices: Readonly<Record<string, Caps>> = {
  'default limits': defaultCaps,
  software: { ...defaultCaps, software: true, subgroupMinSize: 4, subgroupMaxSize: 4 },
};

/** Operations that are a FLOP each; comparisons, signs, choices, conversions and moves between lanes are none. */
const others = '+ * / max min exp exp2 log log2 sqrt inverseSqrt tanh'.split(' ');
const none = 'mac compare negate abs select convert quadSwapX quadSwapY quadSwapDiagonal'.split(' ');

function executed({ operations, read, written }: Counts) {
  const unknown = Object.keys(operations).filter((name) => !others.includes(name) && !none.includes(name));
  const macs = operations.mac ?? 0;
  const flops = others.reduce((sum, name) => sum + (operations[name] ?? 0), 2 * macs);
  return { macs, flops, bytesRead: 4 * read, bytesWritten: 4 * written, unknown };
}

/** By the formulas of the plan, and by what they leave out. */
function stated(d: Dispatch, data: Plan['data']) {
  const beyond = conventions[d.shader.name]?.(d, data) ?? {};
  const { macs = 0, others = 0, bytesRead = 0, bytesWritten = 0 } = beyond;
  return {
    macs: d.macs + macs,
    flops: d.flops + 2 * macs + others,
    bytesRead: d.bytesRead + bytesRead,
    bytesWritten: d.bytesWritten + bytesWritten,
    unknown: [],
  };
}

const counted = new Set<string>();

/** Values to the nearest f16. */
const rounded = ({ shape, data }: RefTensor): RefTensor => ({
  shape,
  data: Float64Array.from(widenHalves(narrowToHalves(Float32Array.from(data)))),
});

/** The inputs that are f16 always. */
const alwaysHalves = ({ inputs }: Kernel): string[] =>
  inputs.filter(({ dtype }) => dtype === 'f16').map(({ name }) => name);

const checks = Object.keys(wholeCases).flatMap((name) => {
  const f16 = kernels[name].inputs.filter((port) => port.f16).map((port) => port.name);
  return f16.length > 0
    ? [
        { name, f16: [] },
        { name, f16 },
      ]
    : [{ name, f16 }];
});

for (const { name, f16 } of checks)
  for (const [device, caps] of Object.entries(devices))
    test(`${[name, ...f16].join(', f16 ')}, ${device}: executes what its plan says`, (t) => {
      const kernel = kernels[name];
      const { forward, backward } = references[name];
      for (const { inputs: given, params } of wholeCases[name]()) {
        const inputs = {
          ...given,
          ...Object.fromEntries(f16.map((input) => [input, rounded(given[input])])),
        };
        const stored = [...f16, ...alwaysHalves(kernel)];
        const { dispatches, results, halves, upstream } = countRun(kernel, { inputs, params }, caps, stored);
        const expected: RefTensors = forward(inputs, params);
        const gradients = Object.fromEntries(
          Object.entries(upstream).map(([port, data]) => [
            port,
            { shape: expected[port.slice('grad_'.length)].shape, data: Float64Array.from(data) },
          ]),
        );
        if (kernel.backward && backward) Object.assign(expected, backward(inputs, params, gradients));
        // Gradients of an `out` in f16 are of values that were rounded up to four times on their way.
        const chained = halves.includes('out') ? 4 * 2 ** -11 : 1e-4;
        const wrong = Object.keys(results).filter((port) => {
          const { data } = halves.includes(port) ? rounded(expected[port]) : expected[port];
          return !(relativeError(results[port], data) <= (port === 'out' ? 1e-4 : chained));
        });
        t.deepEqual(wrong, [], `what is counted is right: ${Object.keys(results)}`);
        for (const { pass, dispatch, data, counts } of dispatches) {
          counted.add(dispatch.shader.name);
          t.deepEqual(executed(counts), stated(dispatch, data), `${pass}: ${dispatch.shader.name}`);
        }
      }
      t.end();
    });

test('every kernel and every shader is counted', (t) => {
  t.deepEqual(Object.keys(wholeCases).sort(), Object.keys(kernels).sort());
  const stems = readdirSync('shaders')
    .filter((file) => file.endsWith('.wgsl'))
    .map((file) => file.replace(/\.wgsl$/, ''));
  t.deepEqual(
    stems.filter((stem) => !counted.has(stem)),
    ['clear-padding', 'matmul-subgroup-matrix'],
    'all but the one that only padding needs, and the form of the product (whose cost is that of the others) whose ' +
      'instructions the interpreter has not',
  );
  t.end();
});

/** The cases and properties that `lstm` and `gru` share. */
import test from 'tape';
import { defaultCaps, kernelNamed, type Shape } from '../../kernels/index.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { chooseRecurrent } from '../../kernels/shared/recurrent-rows.ts';
import { ints, random, runtime, testKernel, type Case } from './harness.ts';

/** Runs every promise of the recurrent kernel `name`. */
export function testRecurrent(name: 'lstm' | 'gru', gates: number): void {
  const inputsOf = (
    [b, length, d, h]: readonly number[],
    lengths: readonly number[],
    bidirectional = false,
  ): RefTensors => {
    const x = random([b, length, d]);
    // Padding is poison: whatever reads it turns NaN.
    lengths.forEach((n, row) => x.data.fill(NaN, (row * length + n) * d, (row + 1) * length * d));
    const inputs: RefTensors = { x, lengths: ints([b], lengths) };
    for (const suffix of bidirectional ? ['', '_reverse'] : [''])
      Object.assign(inputs, {
        [`weight_ih_l0${suffix}`]: random([gates * h, d], 1 / Math.sqrt(Math.max(1, d))),
        [`weight_hh_l0${suffix}`]: random([gates * h, h], 1 / Math.sqrt(Math.max(1, h))),
        [`bias_ih_l0${suffix}`]: random([gates * h]),
        [`bias_hh_l0${suffix}`]: random([gates * h]),
      });
    return inputs;
  };

  /** Lengths from `longest` down, most of them whole; `drop` 0: all are. */
  const ragged = (count: number, longest: number, drop = 0): number[] =>
    Array.from({ length: count }, (_, i) => longest - (drop && i % 5 === 3 ? 1 + (i % drop) : 0));

  const shapes: [shape: readonly number[], lengths: readonly number[], bidirectional?: boolean][] = [
    [[1, 1, 1, 1], [1]],
    [[0, 3, 2, 2], []],
    [[2, 0, 2, 2], [0, 0], true],
    [
      [2, 3, 0, 2],
      [2, 3],
    ],
    [[2, 3, 4, 0], [1, 3], true],
    [[2, 3, 2, 2], [0, 0], true],
    [
      [3, 5, 7, 13],
      [5, 2, 0],
    ],
    [[2, 4, 8, 16], [4, 4], true],
    [[4, 6, 6, 5], [6, 1, 0, 4], true],
    [
      [2, 3, 4, 63],
      [3, 2],
    ],
    [[1, 3, 4, 64], [3], true],
    [
      [2, 3, 4, 65],
      [1, 3],
    ],
    [[1, 2, 3, 130], [2]],
    [[40, 2, 3, 2], Array.from({ length: 40 }, (_, i) => i % 3)],
    // Enough rows to go step by step.
    [[64, 1, 2, 3], ragged(64, 1)],
    [[64, 1, 1, 1], ragged(64, 1), true],
    [[65, 3, 0, 2], ragged(65, 3), true],
    [[67, 3, 5, 7], ragged(67, 3), true],
    [
      [129, 4, 3, 13],
      [...ragged(128, 4), 0],
    ],
    [[131, 5, 4, 8], [0, 4, ...ragged(120, 5, 2), 1, 0, 5, 2, 0, 3, 1, 5, 4], true],
  ];
  const cases: Case[] = shapes.map(([shape, lengths, bidirectional]) => ({
    name: `B L d h ${shape}, lengths ${lengths.slice(0, 40)}${bidirectional ? ', bidirectional' : ''}`,
    inputs: inputsOf(shape, lengths, bidirectional),
    ...(bidirectional ? { params: { bidirectional } } : {}),
  }));
  const saturated = inputsOf([1, 6, 3, 4], [6]);
  saturated.x.data.forEach((v, i) => (saturated.x.data[i] = Math.fround(40 * v)));
  cases.push({ name: 'saturated gates', inputs: saturated });
  testKernel(name, cases);

  test(`${name}: padding does not leak, whether or not h fits workgroup memory`, async (t) => {
    const kernel = kernelNamed(name);
    const inputs = inputsOf([2, 5, 4, 67], [5, 3], true);
    const gradOut = random([2, 5, 134]);
    gradOut.data.fill(NaN, 8 * 134);
    const run = () =>
      runtime.scope(async () => {
        const tensors = Object.fromEntries(
          Object.entries(inputs)
            .filter(([key]) => key !== 'lengths')
            .map(([key, x]) => [key, runtime.upload(Float32Array.from(x.data), x.shape)]),
        );
        const options = {
          params: { bidirectional: true },
          host: { lengths: { data: inputs.lengths.data as Int32Array, shape: [2] } },
        };
        const outputs = runtime.kernel(kernel, tensors, options);
        const backward = kernel.backward;
        if (!backward) throw new Error(`${name} has no backward`);
        const grad_out = runtime.upload(Float32Array.from(gradOut.data), gradOut.shape);
        const gradients = runtime.kernel(backward, { ...tensors, ...outputs, grad_out }, options);
        const values = await runtime.readAll([outputs.out, ...Object.values(gradients)]);
        return values.map((v) => [...v]);
      });
    const shared = await run();
    t.ok(
      shared.every((values) => values.every(Number.isFinite)),
      'NaN in padded rows of x and grad_out reaches nothing',
    );
    const padded = [shared[0].slice(8 * 134), shared[1].slice(8 * 4)];
    t.ok(
      padded.every((values) => values.every((v) => v === 0)),
      'padded rows of out and grad_x are 0',
    );
    const caps = runtime.caps;
    Object.defineProperty(runtime, 'caps', {
      value: { ...caps, maxComputeWorkgroupStorageSize: 256 },
      configurable: true,
    });
    try {
      t.deepEqual(await run(), shared, 'the same bits through storage');
    } finally {
      Object.defineProperty(runtime, 'caps', { value: caps, configurable: true });
    }
  });

  test(`${name}: lanes, units and workgroup memory follow hidden size and device`, (t) => {
    const choose = (h: number, software = false) => chooseRecurrent(h, 16, { ...defaultCaps, software });
    t.deepEqual(choose(1), { WG: 64, UNITS: 1, SHARED: 1 });
    t.deepEqual(choose(65), { WG: 128, UNITS: 1, SHARED: 1 });
    t.deepEqual(choose(1024), { WG: 256, UNITS: 4, SHARED: 1 });
    t.deepEqual(choose(1025), { WG: 256, UNITS: 5, SHARED: 0 });
    t.deepEqual(choose(65, true), { WG: 64, UNITS: 2, SHARED: 1 });
    t.end();
  });

  test(`${name}: only wanted gradients are computed`, (t) => {
    const g = gates * 4;
    const plan = kernelNamed(name).backward?.plan({
      shapes: {
        ...{ x: [2, 3, 5], weight_ih_l0: [g, 5], weight_hh_l0: [g, 4], lengths: [2] },
        ...{ out: [2, 3, 4], gates: [1, 2, 3, g], state: [1, 2, 3, 4], grad_out: [2, 3, 4] },
      },
      params: {},
      caps: defaultCaps,
      host: { lengths: Int32Array.of(3, 2) },
      wanted: ['grad_x'],
    });
    t.deepEqual(Object.keys(plan?.outputs ?? {}), ['grad_x']);
    t.deepEqual(
      plan?.dispatches.map((dispatch) => dispatch.shader),
      ['recurrent-pack', `${name}-backward`, 'matmul'],
    );
    // Five valid tokens, of which three have one before them.
    t.equal(plan?.dispatches[1].macs, 3 * g * 4);
    t.end();
  });

  test(`${name}: bad input is named`, (t) => {
    const g = gates * 4;
    const shapes = {
      ...{ x: [2, 3, 5], weight_ih_l0: [g, 5], weight_hh_l0: [g, 4], bias_ih_l0: [g], bias_hh_l0: [g] },
      lengths: [2],
    };
    const plan =
      (more: Record<string, Shape>, lengths = [3, 2], params = {}) =>
      () =>
        kernelNamed(name).plan({
          shapes: { ...shapes, ...more },
          params,
          caps: defaultCaps,
          host: { lengths: Int32Array.from(lengths) },
        });
    t.throws(plan({}, [3, 4]), /lengths row 1 is 4, not in 0\.\.3/);
    t.throws(plan({}, [-1, 3]), /lengths row 0 is -1/);
    t.throws(plan({ weight_hh_l0: [g + 1, 4] }), /input "weight_hh_l0" must have shape/);
    t.throws(
      plan({ weight_ih_l0_reverse: [g, 5] }),
      /"weight_ih_l0_reverse" needs the parameter "bidirectional"/,
    );
    t.throws(plan({}, [3, 2], { bidirectional: true }), /input "weight_ih_l0_reverse" is missing/);
    t.throws(
      plan({}, [3, 2], { bidirectional: 1 }),
      /parameter "bidirectional" must be true or false, got 1/,
    );
    t.end();
  });
}

/** The cases and properties that `lstm` and `gru` share. */
import test from 'tape';
import { defaultCaps, kernelNamed, type Caps, type Shape } from '../../kernels/index.ts';
import type { RefTensors } from '../../kernels/reference/types.ts';
import { chooseSteps, stepsOf } from '../../kernels/shared/recurrent-steps.ts';
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

  const whole = (count: number, length: number): number[] => new Array<number>(count).fill(length);

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
    // Workgroups that fold, few of which have anything to do.
    [[40, 2, 3, 2], whole(40, 0).map((_, i) => (i % 9 === 1 ? 2 : 0))],
    // On a software device enough rows to go step by step.
    [[40, 2, 3, 2], whole(40, 0).map((_, i) => i % 3)],
    [[8, 1, 2, 3], whole(8, 1)],
    [[9, 1, 1, 1], whole(9, 1), true],
    [[13, 3, 0, 2], whole(13, 3), true],
    [[12, 3, 4, 0], whole(12, 3), true],
    [[17, 3, 5, 7], whole(17, 3), true],
    [[16, 4, 8, 16], whole(16, 4), true],
    [
      [33, 4, 3, 13],
      [...whole(32, 4), 0],
    ],
    [[20, 7, 5, 65], [...whole(9, 2), ...whole(8, 7), 0, 6, 1], true],
    // On a GPU two, four, eight rows a workgroup.
    [[513, 3, 2, 5], whole(513, 0).map((_, i) => (i * 7) % 4), true],
    [[2050, 2, 1, 3], whole(2050, 0).map((_, i) => (i * 5) % 3)],
    [[2049, 2, 1, 2], whole(2049, 0).map((_, i) => (i % 300 === 7 ? 2 : i % 2)), true],
    [[67, 5, 4, 8], [0, 4, ...whole(30, 4), ...whole(28, 5), 1, 0, 5, 2, 0, 3, 1], true],
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

  const leakless = async (t: test.Test, lengths: readonly number[]): Promise<void> => {
    const [b, length] = [lengths.length, 5];
    const kernel = kernelNamed(name);
    const inputs = inputsOf([b, length, 4, 67], lengths, true);
    const gradOut = random([b, length, 134]);
    const padding = lengths.flatMap((n, row) =>
      Array.from({ length: length - n }, (_, i) => row * length + n + i),
    );
    for (const token of padding) gradOut.data.fill(NaN, token * 134, (token + 1) * 134);
    const run = () =>
      runtime.scope(async () => {
        const tensors = Object.fromEntries(
          Object.entries(inputs)
            .filter(([key]) => key !== 'lengths')
            .map(([key, x]) => [key, runtime.upload(Float32Array.from(x.data), x.shape)]),
        );
        const options = {
          params: { bidirectional: true },
          host: { lengths: { data: inputs.lengths.data as Int32Array, shape: [b] } },
        };
        const outputs = runtime.kernel(kernel, tensors, options);
        const backward = kernel.backward;
        if (!backward) throw new Error(`${name} has no backward`);
        const grad_out = runtime.upload(Float32Array.from(gradOut.data), gradOut.shape);
        const takes = new Set(backward.inputs.map((input) => input.name));
        const given = Object.entries({ ...tensors, ...outputs, grad_out }).filter(([key]) => takes.has(key));
        const gradients = runtime.kernel(backward, Object.fromEntries(given), options);
        const values = await runtime.readAll([outputs.out, ...Object.values(gradients)]);
        return values.map((v) => [...v]);
      });
    const shared = await run();
    t.ok(
      shared.every((values) => values.every(Number.isFinite)),
      'NaN in padded rows of x and grad_out reaches nothing',
    );
    const rowsOf = (values: number[], width: number) =>
      padding.flatMap((token) => values.slice(token * width, (token + 1) * width));
    t.ok(
      [...rowsOf(shared[0], 134), ...rowsOf(shared[1], 4)].every((v) => v === 0),
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
  };
  test(`${name}: padding does not leak, whether or not h fits workgroup memory`, (t) => leakless(t, [5, 3]));
  test(`${name}: padding does not leak into many rows`, (t) => leakless(t, [0, 3, ...whole(12, 5), 1, 4]));

  test(`${name}: lanes, units and workgroup memory follow hidden size and device`, (t) => {
    const choose = (h: number, rows = 1, caps: Partial<Caps> = {}) =>
      chooseRecurrent(h, rows, 16, { ...defaultCaps, ...caps });
    t.deepEqual(choose(1), { WG: 64, UNITS: 1, SHARED: 1, ROWS: 1 });
    t.deepEqual(choose(65), { WG: 128, UNITS: 1, SHARED: 1, ROWS: 1 });
    t.deepEqual(choose(1024), { WG: 256, UNITS: 4, SHARED: 1, ROWS: 1 });
    t.deepEqual(choose(1025), { WG: 256, UNITS: 5, SHARED: 0, ROWS: 1 });
    t.deepEqual(choose(65, 1, { software: true }), { WG: 64, UNITS: 2, SHARED: 1, ROWS: 1 });
    const rowsOf = (h: number, rows: number, caps: Partial<Caps> = {}) => choose(h, rows, caps).ROWS;
    t.deepEqual(
      [1023, 1024, 2048, 4096, 9999].map((rows) => rowsOf(32, rows)),
      [1, 2, 4, 8, 8],
      'rows of a workgroup: as many as leave lanes enough',
    );
    t.equal(rowsOf(32, 9999, { software: true }), 1, 'on a software device one');
    t.equal(rowsOf(300, 9999), 2, 'as workgroup memory holds');
    t.equal(rowsOf(600, 9999, { maxComputeWorkgroupStorageSize: 65536 }), 2, 'as registers hold');
    t.end();
  });

  test(`${name}: many rows go step by step, longest first`, (t) => {
    const steps = stepsOf(Int32Array.of(2, 0, 3, 1, 3));
    t.deepEqual(steps.active, [4, 3, 2]);
    t.deepEqual(steps.first, [0, 4, 7]);
    t.deepEqual([...steps.table], [2, 4, 0, 3, 1, 3, 3, 2, 1, 0, 0, 4, 7]);
    const choose = (lengths: number[], h: number, directions: number, software: boolean) =>
      chooseSteps(
        { lengths: Int32Array.from(lengths), h, suffixes: ['', '_reverse'].slice(0, directions) },
        { ...defaultCaps, software },
      );
    t.notOk(choose([], 64, 2, true));
    t.notOk(choose(whole(99, 0), 64, 2, true));
    t.notOk(choose(whole(7, 5), 64, 2, true));
    t.ok(choose(whole(8, 5), 64, 1, true));
    t.notOk(choose([50, ...whole(20, 5)], 64, 2, true), 'one row at most steps');
    t.notOk(choose(whole(800, 30), 32, 2, false));
    t.ok(choose(whole(64, 30), 384, 2, false));
    t.end();
  });

  test(`${name}: costs do not depend on the form, and no step meets padding`, (t) => {
    const [b, length, d, h] = [12, 4, 5, 8];
    const lengths = [...whole(10, 4), 2, 0];
    const inputs = inputsOf([b, length, d, h], lengths, true);
    const shapes = Object.fromEntries(Object.entries(inputs).map(([key, x]) => [key, x.shape]));
    const plans = [true, false].map((software) =>
      kernelNamed(name).plan({
        shapes,
        params: { bidirectional: true },
        caps: { ...defaultCaps, software },
        host: { lengths: Int32Array.from(lengths) },
      }),
    );
    const macs = plans.map(({ dispatches }) => dispatches.reduce((sum, dispatch) => sum + dispatch.macs, 0));
    t.equal(macs[0], macs[1]);
    const cells = plans[0].dispatches.filter(({ shader }) => shader.name === name);
    t.deepEqual(
      cells.map(({ uniforms }) => uniforms[0]),
      [11, 11, 10, 10].map((rows) => 2 * rows * h),
    );
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
      plan?.dispatches.map((dispatch) => dispatch.shader.name),
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

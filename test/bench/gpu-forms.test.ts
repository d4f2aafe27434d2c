/** The pure parts of `bench gpu-forms`: what the compiler writes, as rows; its cases. */
import test from 'tape';
import { formChecks } from '../../bench/gpu-forms.bench.ts';
import { formCases, formDispatches, type FormCase } from '../../bench/gpu-forms.cases.ts';
import {
  byPipeline,
  hotLoop,
  loopsOf,
  parseStatistics,
  pipelineName,
  spilling,
  SUBGROUP_MATRIX,
  usesOf,
  workgroupLanes,
  type FormRow,
} from '../../bench/gpu-forms.rows.ts';
import { kernels, wgslOf } from '../../kernels/index.ts';
import { defaultCaps, type Caps, type Dispatch } from '../../kernels/plan.ts';
import matmulWgsl from '../../shaders/matmul.wgsl';

const statistics = {
  ...{ subgroup: 64, VGPRs: 96, SGPRs: 128, 'Spilled VGPRs': 3, 'Spilled SGPRs': 2, 'Scratch size': 48 },
  ...{ 'LDS size': 8192, 'Subgroups per SIMD': 8, Instructions: 815 },
};

test('statistics of a pipeline', (t) => {
  t.deepEqual(parseStatistics(JSON.stringify(statistics)), {
    ...{ registers: 96, spilledRegisters: 5, scratchBytes: 48, sharedBytes: 8192 },
    ...{ subgroup: 64, occupancy: 8, instructions: 815 },
  });
  const { VGPRs: _, ...less } = statistics;
  t.throws(() => parseStatistics(JSON.stringify(less)), /gave no "VGPRs"/);
  t.end();
});

const listing = `BB0:
	v_fma_f32 v0, v1, v2, v3        ; before the loops: BB1
BB1:
	s_waitcnt lgkmcnt(0)            ; bf89fc07
	ds_load_b128 v[0:3], v4
BB2:
	buffer_load_b32 v9, v1, s[0:3], 0 offen
	v_dual_fmac_f32 v0, v1, v2 :: v_dual_fmac_f32 v3, v4, v5
	v_pk_fma_f32 v[0:1], v[2:3], v[4:5], v[0:1]
	v_exp_f32_e32 v1, v1
	s_cbranch_scc1 BB2
	v_add_f32_e32 v1, v1, v2
	s_branch BB1
BB3:
	s_cbranch_vccz BB4
BB4:
	s_endpgm
`;

test('loops of a listing', (t) => {
  const inner = { fma: 3, vector: 4, special: 1, shared: 0, memory: 1, all: 6 };
  const outer = { fma: 3, vector: 5, special: 1, shared: 1, memory: 1, all: 10 };
  t.deepEqual(loopsOf(listing), [inner, outer], 'branches forward are none');
  t.deepEqual(hotLoop([outer, inner]), inner, 'of equals the innermost');
  t.deepEqual(hotLoop([inner, { ...outer, fma: 4 }]), { ...outer, fma: 4 });
  t.equal(hotLoop(loopsOf('BB0:\n\ts_endpgm\n')), undefined, 'no loop');
  const matrices = 'BB7:\n\tv_wmma_f32_16x16x16_f16 v[0:3], v[8:15], v[16:23], v[0:3]\n\ts_branch BB7\n';
  const [product] = loopsOf(matrices);
  t.deepEqual(product, { matrix: 1, fma: 0, vector: 1, special: 0, shared: 0, memory: 0, all: 2 });
  t.equal(hotLoop([inner, product]), product, 'a product of matrices is more than any of numbers');
  t.end();
});

test('lanes of a workgroup', (t) => {
  const wgsl =
    '@compute @workgroup_size(8u, 4) fn first() {}\n@compute @workgroup_size(64)\nfn main(@builtin(x) i: u32) {}';
  t.equal(workgroupLanes(wgsl, 'first'), 32);
  t.equal(workgroupLanes(wgsl, 'main'), 64);
  t.throws(() => workgroupLanes(wgsl, 'other'), /no workgroup size of "other"/);
  t.throws(() => workgroupLanes('@workgroup_size(WG) fn main(', 'main'), /no workgroup size/);
  t.end();
});

const dispatch = (flops: number, constants: Dispatch['constants']): Dispatch => ({
  ...{ label: '', shader: matmulWgsl, entryPoint: 'main', constants, bindings: [], uniforms: [] },
  ...{ workgroups: [flops, 1, 1], macs: 0, flops, bytesRead: 0, bytesWritten: 0 },
});

test('pipelines of dispatches', (t) => {
  const [small, large, other] = [dispatch(1, { TM: 8, X: 0 }), dispatch(2, { TM: 8, X: 0 }), dispatch(3, {})];
  t.deepEqual(byPipeline([small, other, large, small]), [large, other], 'the costliest of each');
  t.equal(pipelineName(small), 'matmul.main(TM=8)');
  const use = { case: 'b', pass: 'forward' as const, form: 'chosen', batch: 1, lanes: 64 };
  const forced = { ...use, case: 'a', form: 'tiled-64', lanes: 32 };
  t.deepEqual(
    usesOf([forced, use, { ...use, case: 'c', lanes: 48 }, { ...use, batch: 8, lanes: 512 }]),
    { case: 'b', pass: 'forward', form: 'chosen', lanes1: 48, lanes8: 512 },
    'a choice goes before what is forced, the fewest of its lanes count',
  );
  t.deepEqual(usesOf([forced]), {
    case: 'a',
    pass: 'forward',
    form: 'tiled-64',
    lanes1: 32,
    lanes8: undefined,
  });
  t.end();
});

const row = (pipeline: string, more: Partial<FormRow> = {}): FormRow => ({
  ...{ family: 'F', case: 'c', pass: 'forward', form: 'chosen', pipeline, lanes1: 40_000 },
  ...{ registers: 9, spilledRegisters: 0, scratchBytes: 0, sharedBytes: 0 },
  ...{ subgroup: 64, occupancy: 8, instructions: 9 },
  ...{ loop: { fma: 8, vector: 9, special: 0, shared: 0, memory: 0, all: 10 } },
  ...more,
});

test('what the forms are to fulfil', (t) => {
  const good = [row('matmul-tiled.main(TILE=64,BLOCK=8)'), row('attention-fused.main()')];
  const held = (rows: FormRow[]) => formChecks(rows).map(({ holds }) => holds);
  t.deepEqual(held(good), [true, true, true]);
  const bad = [
    row('matmul-tiled.main(TILE=32)', { loop: { ...good[0].loop!, all: 20 } }),
    row('segment-attention-stats.main()', { lanes1: 29_999, scratchBytes: 4 }),
    row('softmax.main()', { spilledRegisters: 1 }),
  ];
  t.deepEqual(held([...good, ...bad]), [false, false, false]);
  t.deepEqual(spilling([...bad, bad[2]]), ['F segment-attention-stats.main()', 'F softmax.main()']);
  t.match(formChecks([...good, ...bad])[1].measured, /^0\.40 in tiles of 32, 0\.80 in tiles of 64$/);
  t.throws(() => formChecks([row('softmax.main()')]), /no tiled product/, 'nothing holds of nothing');
  t.end();
});

test('cases', (t) => {
  const cases = formCases(1);
  const named = new Set(cases.map(({ kernel }) => kernel));
  t.deepEqual([...named].sort(), Object.keys(kernels).sort(), 'every kernel has one');
  t.equal(new Set(cases.map(({ name }) => name)).size, cases.length, 'names are unique');
  const gpu = {
    ...defaultCaps,
    subgroupMinSize: 32,
    subgroupMaxSize: 64,
    maxComputeWorkgroupStorageSize: 32768,
  };
  for (const one of cases) {
    const planned = formDispatches(one, gpu);
    t.ok(
      planned.some(({ pass }) => pass === 'backward') === (kernels[one.kernel].backward !== undefined),
      `${one.name}: backward where there is one`,
    );
    t.ok(
      planned
        .flatMap(({ dispatches }) => dispatches)
        .every((d) => workgroupLanes(wgslOf(d), d.entryPoint) >= 1),
      `${one.name}: lanes of every pipeline`,
    );
  }
  const tiles = (form: string): boolean =>
    formDispatches(cases[0], gpu).some((f) => f.form === form && f.dispatches[0].constants.TILE === 64);
  t.ok(tiles('tiled-64'), 'a forced product takes its form');
  const matrices = (one: FormCase, more: Partial<Caps>): number =>
    formDispatches(one, { ...gpu, ...more })
      .filter(({ form }) => form === SUBGROUP_MATRIX)
      .flatMap(({ dispatches }) => dispatches)
      .filter(({ shader }) => shader.name === 'matmul-subgroup-matrix').length;
  const subgroupMatrix = { m: 16, n: 16, k: 16 };
  t.equal(
    matrices(cases[0], { subgroupMatrix }),
    1,
    'a product by matrices of subgroups where there are any',
  );
  t.equal(matrices(cases[0], {}), 0);
  t.ok(
    formDispatches(cases[0], { ...gpu, subgroupMatrix }).every(
      ({ form, dispatches }) =>
        form === SUBGROUP_MATRIX ||
        dispatches.every(({ shader }) => shader.name !== 'matmul-subgroup-matrix'),
    ),
    'in no other form',
  );
  const scans = formDispatches(
    cases.find(({ kernel }) => kernel === 'segment-attention')!,
    gpu,
  );
  t.deepEqual(
    [...new Set(scans.map(({ form }) => form))],
    ['chosen', 'chosen by default limits without subgroups', 'strips', 'flash'],
  );
  t.end();
});

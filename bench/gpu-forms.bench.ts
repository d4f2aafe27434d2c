/**
 * `bench gpu-forms`: what a GPU's shader compiler makes of every GPU form of every kernel. Nothing runs: the driver that
 * docs/gpu.md tells of compiles for a family of GPUs without one, and no figure here is a time.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, globals } from 'webgpu';
import { InputError } from '../kernels/errors.ts';
import { wgslOf } from '../kernels/index.ts';
import type { Dispatch } from '../kernels/plan.ts';
import { openDevice, type OpenedDevice } from '../src/gpu/device.ts';
import { Runtime } from '../src/gpu/runtime.ts';
import { formCases, formDispatches } from './gpu-forms.cases.ts';
import {
  byPipeline,
  CHOSEN,
  hotLoop,
  loopsOf,
  parseStatistics,
  pipelineKey,
  pipelineName,
  spilling,
  SUBGROUP_MATRIX,
  usesOf,
  workgroupLanes,
  type Compiled,
  type FormRow,
  type SkippedRow,
  type Use,
} from './gpu-forms.rows.ts';
import { makeDocument, ownOptions, type Bench, type BenchCheck } from './harness.ts';

/** RDNA 3 (Radeon RX 7900) and CDNA 2 (Instinct MI200), as Mesa names them. */
const FAMILIES = ['NAVI31', 'MI200'];
const BATCHES = [1, 8];
/** Share of multiply-adds in the loop of a product, and lanes of attention at batch 1. */
const LEAST = { fma: 0.75, lanes: 30_000 };

/** Files that the driver writes of the pipeline it compiled last. */
interface Written {
  statistics: string;
  listing: string;
}

async function compile({ device }: OpenedDevice, dispatch: Dispatch, files: Written): Promise<Compiled> {
  for (const file of Object.values(files)) rmSync(file, { force: true });
  const compute = {
    module: device.createShaderModule({ code: wgslOf(dispatch) }),
    entryPoint: dispatch.entryPoint,
  };
  await device.createComputePipelineAsync({ layout: 'auto', compute });
  return {
    ...parseStatistics(readFileSync(files.statistics, 'utf8').trim().split('\n').at(-1)!),
    loop: hotLoop(loopsOf(readFileSync(files.listing, 'utf8'))),
  };
}

/** Opens a device, with the matrices of its subgroups where it has any. Dawn offers them among what is unsafe alone. */
async function open(): Promise<OpenedDevice> {
  const gpu = create(['enable-dawn-features=allow_unsafe_apis']);
  try {
    return await openDevice(gpu, { subgroupMatrix: true });
  } catch (error) {
    if (error instanceof InputError) return openDevice(gpu);
    throw error;
  }
}

/** Every pipeline of every case, and its uses. */
function pipelinesFor({ caps }: OpenedDevice): { dispatch: Dispatch; uses: Use[] }[] {
  const found = new Map<string, { dispatch: Dispatch; uses: Use[] }>();
  for (const batch of BATCHES)
    for (const one of formCases(batch))
      for (const { form, pass, dispatches } of formDispatches(one, caps))
        for (const dispatch of byPipeline(dispatches)) {
          const workgroup = workgroupLanes(wgslOf(dispatch), dispatch.entryPoint);
          const lanes = dispatch.workgroups.reduce((n, groups) => n * groups, workgroup);
          const key = pipelineKey(dispatch);
          const known = found.get(key) ?? { dispatch, uses: [] };
          known.uses.push({ case: one.name, pass, form, batch, lanes });
          found.set(key, known);
        }
  return [...found.values()];
}

/**
 * The least share of multiply-adds in the loop of a tiled product of float32 that is chosen, by the side of its tile. An operand
 * in f16 takes a conversion an element too.
 */
function tileShares(rows: readonly FormRow[]): Map<number, number> {
  const shares = new Map<number, number>();
  for (const { form, pipeline, loop } of rows) {
    const tile = Number(/^matmul-tiled\.\w+\(TILE=(\d+)/.exec(pipeline)?.[1]);
    if (form !== CHOSEN || !tile || /F16_[AB]/.test(pipeline)) continue;
    const share = loop ? loop.fma / loop.all : 0;
    shares.set(tile, Math.min(share, shares.get(tile) ?? 1));
  }
  return shares;
}

/** What the forms are to fulfil. Errors: no tiled product or no fused attention among the rows. */
export function formChecks(rows: readonly FormRow[]): BenchCheck[] {
  const spilled = spilling(rows);
  const shares = [...tileShares(rows)].sort(([a], [b]) => a - b);
  const lanes = rows
    .filter(({ form, pipeline }) => form === CHOSEN && /^(segment-)?attention-/.test(pipeline))
    .flatMap(({ lanes1 }) => lanes1 ?? []);
  if (shares.length === 0 || lanes.length === 0)
    throw new Error('bench gpu-forms: no tiled product or no attention was compiled');
  return [
    { claim: 'no form spills', holds: spilled.length === 0, measured: spilled.join('; ') || 'none does' },
    {
      claim: `multiply-adds are at least ${LEAST.fma} of the loop of a tiled product of float32`,
      holds: shares.every(([, share]) => share >= LEAST.fma),
      measured: shares.map(([tile, share]) => `${share.toFixed(2)} in tiles of ${tile}`).join(', '),
    },
    {
      claim: `attention and segment attention have at least ${LEAST.lanes} lanes at batch 1`,
      ...{ holds: Math.min(...lanes) >= LEAST.lanes, measured: `at least ${Math.min(...lanes)}` },
    },
  ];
}

export const gpuFormsBench: Bench = {
  doc: "what a GPU's shader compiler makes of every GPU form: registers, spills, occupancy, loops; no times",
  async run({ args, log }) {
    ownOptions('gpu-forms', args);
    if (!process.env.NULLGPU_DRIVER)
      throw new InputError('bench gpu-forms: no compiler of a GPU is set up (docs/gpu.md)');
    const folder = mkdtempSync(join(tmpdir(), 'gpu-forms-'));
    const files = { statistics: join(folder, 'statistics'), listing: join(folder, 'listing') };
    Object.assign(process.env, { NULLGPU_STATS: files.statistics, NULLGPU_ASM: files.listing });
    Object.assign(globalThis, globals);
    const rows: FormRow[] = [];
    const skipped: SkippedRow[] = [];
    let runtime: Runtime | undefined;
    try {
      for (const family of FAMILIES) {
        runtime?.close();
        process.env.RADV_FORCE_FAMILY = family;
        const opened = await open();
        if (!opened.info.name.toUpperCase().includes(family))
          throw new Error(`bench gpu-forms: asked for ${family}, the driver is of "${opened.info.name}"`);
        runtime = new Runtime(opened);
        if (!opened.caps.subgroupMatrix)
          skipped.push({ family, form: SUBGROUP_MATRIX, skipped: 'it has no matrices of subgroups' });
        log(`${family}: planning`);
        const pipelines = pipelinesFor(opened);
        log(`${family}: compiling ${pipelines.length} pipelines`);
        for (const { dispatch, uses } of pipelines)
          rows.push({
            ...{ family, pipeline: pipelineName(dispatch), ...usesOf(uses) },
            ...(await compile(opened, dispatch, files)),
            ...(uses.every(({ form }) => form === SUBGROUP_MATRIX) ? { unverified: true } : {}),
          });
      }
      return makeDocument(
        'gpu-forms',
        runtime!,
        [...rows, ...skipped] as unknown as Record<string, unknown>[],
        formChecks(rows),
        {
          spilling: spilling(rows),
        },
      );
    } finally {
      runtime?.close();
      rmSync(folder, { recursive: true });
    }
  },
};

/**
 * `bench table6`: parameters, multiply-adds, memory and time of the four models of the CEREM paper's Table 6, built with
 * random weights and run once, compiled beforehand; and of the two with segments on shared projections (`extra`). With
 * `--full` a training step of each too.
 */
import { sizeOf } from '../kernels/plan.ts';
import { Cerem, ceremBase, countParameters, type CeremConfig } from '../src/models/cerem.ts';
import { parameterShapes } from '../src/nn/shapes.ts';
import type { Runtime } from '../src/node.ts';
import {
  baseConfig,
  buildVariant,
  checkVariants,
  compilePipelines,
  paperMs,
  randomBatch,
  runOnce,
  sharedVariantsOf,
  tokensOf,
  variantOptions,
  variantsOf,
  type Variant,
} from './cerem.variants.ts';
import { makeDocument, onDevice, ownOptions, type Bench, type BenchCheck, type BenchRow } from './harness.ts';
import { measureStep } from './table6.step.ts';

/** The paper's length; its batch is one row. */
const TOKENS = 256;
/** What the paper's rounding leaves open. */
const PARAMS_WITHIN = 0.02e6;
const MACS_WITHIN = 0.03e9;
/** Bytes that each model may hold at once, weights included. */
const PEAK_BELOW = 750e6;

/** Table 6; rows 2 and 3 say what they add to row 1. Bytes are PyTorch's, of another quantity than ours. */
const paper = [
  { params: 85.65e6, macs: 21.76e9, memory: '1947 MB', added: false },
  { params: 6.3e6, macs: 1.61e9, memory: '+80.5 MB', added: true },
  { params: 15.76e6, macs: 4.04e9, memory: '+202 MB', added: true },
  { params: 117.17e6, macs: 29.84e9, memory: '2391 MB', added: false },
];

/**
 * Multiply-adds of one row of `tokens` pieces as the paper counts them (docs/spec.md#the-base-preset): linear layers,
 * the pooler of one row; 4 an element of a LayerNorm; 3n − 1 a softmax row of n segments; `mix` and pointers. No
 * attention product, activation, or softmax of plain attention.
 */
export function paperMacs(config: CeremConfig, tokens: number): number {
  const { sia, branches, scales, heads, encoder } = config;
  let macs = 0;
  for (const [name, shape] of parameterShapes(
    (parameters) => new Cerem(parameters, config, { pooler: true }),
  )) {
    const size = sizeOf(shape);
    if (name.endsWith('mix.weight')) macs += tokens * encoder.hiddenSize * size;
    else if (/norm\.weight$/i.test(name)) macs += 4 * tokens * size;
    else if (/embeddings\.|bias$/.test(name)) continue;
    else macs += (name.startsWith('encoder.pooler.') ? 1 : tokens) * size;
  }
  const softmax = scales.reduce((sum, r) => sum + Math.max(0, 3 * (tokens - r + 1) - 1), 0);
  return macs + (sia ? (branches ? 2 : 1) * heads * tokens * softmax : 0);
}

/** Builds a model, runs it once, gives it back. */
async function measure(runtime: Runtime, { name, config }: Variant, tokens: number): Promise<BenchRow> {
  await compilePipelines(runtime, config, [1], tokens);
  const model = buildVariant(runtime, config);
  try {
    await runtime.finish();
    runtime.memory.resetPeak();
    runtime.meter.reset();
    const started = performance.now();
    await runOnce(runtime, model, randomBatch(1, tokens, config));
    const ms = performance.now() - started;
    const { macs: macsAll, flops } = runtime.meter.total();
    const { peakBytes, peakByLabel } = runtime.memory.report();
    return {
      name,
      sia: config.sia,
      branches: config.branches,
      params: countParameters(config),
      macs: paperMacs(config, tokens),
      macsAll,
      flops,
      weightBytes: 4 * model.parameters.count(),
      peakBytes,
      peakBytesByLabel: peakByLabel,
      ms,
    };
  } finally {
    model.parameters.release();
  }
}

/** Against the paper's figures, and the bound on memory. */
function checksOf(rows: readonly BenchRow[]): BenchCheck[] {
  const of = (row: BenchRow, key: 'params' | 'macs' | 'peakBytes') => row[key] as number;
  const memory = rows.map((row) => ({
    claim: `${String(row.name)}: at most ${PEAK_BELOW / 1e6} MB at once`,
    holds: of(row, 'peakBytes') <= PEAK_BELOW,
    measured: `${(of(row, 'peakBytes') / 1e6).toFixed(1)} MB`,
  }));
  const counted = paper.flatMap((figures, i) =>
    (['params', 'macs'] as const).map((key) => {
      const ours = of(rows[i], key) - (figures.added ? of(rows[0], key) : 0);
      const [unit, letter, within] =
        key === 'params' ? [1e6, 'M parameters', PARAMS_WITHIN] : [1e9, 'G multiply-adds', MACS_WITHIN];
      const sign = figures.added ? '+' : '';
      return {
        claim: `${String(rows[i].name)}: ${sign}${figures[key] / unit} ${letter} within ${within / unit}`,
        holds: Math.abs(ours - figures[key]) <= within,
        measured: `${sign}${(ours / unit).toFixed(3)}`,
      };
    }),
  );
  return [...counted, ...memory];
}

export const table6Bench: Bench = {
  doc: "parameters, multiply-adds, memory and time of the CEREM paper's Table 6, at base size",
  async run({ args, log, full }) {
    const own = ownOptions('table6', args, variantOptions);
    const base = baseConfig(own);
    checkVariants('table6', base);
    const tokens = tokensOf(own, base) ?? Math.min(TOKENS, base.maxLength);
    return onDevice(async (runtime) => {
      const variants = variantsOf(base);
      const rows: BenchRow[] = [];
      const extra: BenchRow[] = [];
      for (const [list, models] of [
        [rows, variants],
        [extra, sharedVariantsOf(base)],
      ] as const)
        for (const variant of models) {
          log(`${variant.name}, ${variant.config.projections}`);
          const row = await measure(runtime, variant, tokens);
          if (full) log(`${variant.name}, ${variant.config.projections}: a training step`);
          list.push(full ? { ...row, ...(await measureStep(runtime, variant.config, tokens)) } : row);
        }
      const asPaper = base === ceremBase && tokens === TOKENS;
      const shown = asPaper
        ? rows.map((row, i) => ({
            ...row,
            ...{ paperMemory: paper[i].memory, paperMs: paperMs[variants[i].name][0] },
          }))
        : rows;
      return makeDocument('table6', runtime, shown, asPaper ? checksOf(rows) : [], {
        tokens,
        batch: 1,
        extra,
        paper,
      });
    });
  },
};

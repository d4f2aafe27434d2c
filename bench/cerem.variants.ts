/** The four models of the CEREM paper's Tables 6 and 7, with random weights, and what `bench table6|table7` share. */
import { InputError } from '../kernels/errors.ts';
import type { Arguments, Command } from '../src/cli/command.ts';
import type { PieceBatch } from '../src/models/bert.ts';
import { Cerem, ceremBase, parseCeremConfig, type CeremConfig } from '../src/models/cerem.ts';
import { configJson } from '../src/models/config.ts';
import { stream } from '../src/nn/random.ts';
import { Parameters, type Init, type Source } from '../src/nn/parameters.ts';
import type { Runtime } from '../src/node.ts';
import { readJsonFile } from '../src/tasks/folder.ts';

export interface Variant {
  /** As the paper names it in Table 7. */
  name: string;
  config: CeremConfig;
}

/** Milliseconds of the paper's Table 7 at batches of 1, 2 and 4, by variant: PyTorch on a card of its own. */
export const paperMs: Readonly<Record<string, readonly number[]>> = {
  Baseline: [109.97, 200.96, 394.88],
  IB: [141.72, 240.89, 477.86],
  SIA: [147.03, 255.23, 507.16],
  'IB + SIA': [190.96, 311.07, 620.38],
};

/** Options of both benchmarks: another model, another length. */
export const variantOptions: Command['options'] = {
  config: { value: 'F', doc: '' },
  tokens: { value: 'L', doc: '' },
};

/** The base preset, or with `--config F` that with the keys of a JSON object; an `encoder` replaces the whole encoder. */
export function baseConfig(args: Arguments): CeremConfig {
  const file = args.optional('config');
  if (file === undefined) return ceremBase;
  return parseCeremConfig({ ...configJson('cerem', ceremBase), ...readJsonFile(file, 'config') }, file);
}

/** `--tokens`, at most what the model takes; undefined where it is not given. */
export function tokensOf(args: Arguments, { maxLength }: CeremConfig): number | undefined {
  if (args.optional('tokens') === undefined) return undefined;
  const tokens = args.integer('tokens', maxLength, 1);
  if (tokens > maxLength) args.fail(`--tokens must be at most ${maxLength}, got ${tokens}`);
  return tokens;
}

/** In the paper's order. */
export const variantsOf = (config: CeremConfig): Variant[] => [
  { name: 'Baseline', config: { ...config, sia: false, branches: false } },
  { name: 'IB', config: { ...config, sia: false, branches: true } },
  { name: 'SIA', config: { ...config, sia: true, branches: false } },
  { name: 'IB + SIA', config: { ...config, sia: true, branches: true } },
];

/** The two with segments, all scales on one set of projections. */
export const sharedVariantsOf = (config: CeremConfig): Variant[] =>
  variantsOf({ ...config, projections: 'shared' }).filter((variant) => variant.config.sia);

/** A prime: rows of no width repeat within it. */
const TABLE = 65_537;

/** Normal numbers from one table, gone round again and again: a hundred million weights in a second. */
function tableSource(): Source {
  const random = stream(6);
  const table = Float32Array.from({ length: TABLE }, () => random.normal());
  const deviation = (init: Init): number => (typeof init === 'object' && 'normal' in init ? init.normal : 0);
  return {
    values(_name, shape, init, index) {
      const values = new Float32Array(shape.reduce((product, d) => product * d, 1));
      if (init === 'ones') return values.fill(1);
      if (typeof init === 'object' && 'constant' in init) return values.fill(init.constant);
      const scaled = table.map((x) => deviation(init) * x);
      let from = (index * 7919) % TABLE;
      for (let at = 0; at < values.length; from = 0) {
        const part = scaled.subarray(from, from + values.length - at);
        values.set(part, at);
        at += part.length;
      }
      return values;
    },
  };
}

/** A model with random weights and, as the paper counts, the encoder's pooler. */
export const buildVariant = (runtime: Runtime, config: CeremConfig): Cerem =>
  new Cerem(new Parameters(runtime, tableSource()), config, { pooler: true });

/** `rows` texts of `tokens` random pieces each. */
export function randomBatch(rows: number, tokens: number, { encoder }: CeremConfig): PieceBatch {
  const random = stream(7);
  const ids = Int32Array.from({ length: rows * tokens }, () =>
    Math.floor(random.uniform() * encoder.vocabSize),
  );
  return { ids, lengths: new Int32Array(rows).fill(tokens), rows, columns: tokens };
}

/** Runs the model once and reads its logits. Errors: a logit that is no number, or all alike: it did not compute. */
export async function runOnce(runtime: Runtime, model: Cerem, batch: PieceBatch): Promise<void> {
  await runtime.scope(async () => {
    const { start, end } = model.forward(batch);
    for (const logits of await runtime.readAll([start, end])) {
      const different = logits.some((x) => x !== logits[0]);
      if (!logits.every(Number.isFinite) || (logits.length > 1 && !different))
        throw new Error('the model gives no usable logits: nothing is measured');
    }
  });
}

/** Compiles a model's pipelines: one layer has the shapes of twelve. */
export async function compilePipelines(
  runtime: Runtime,
  config: CeremConfig,
  batches: readonly number[],
  tokens: number,
): Promise<void> {
  const small = { ...config, encoder: { ...config.encoder, layers: 1 } };
  const model = buildVariant(runtime, small);
  for (const batch of batches) await runOnce(runtime, model, randomBatch(batch, tokens, small));
  model.parameters.release();
}

/** Refuses options that mean nothing here. */
export function checkVariants(bench: string, config: CeremConfig): void {
  if (config.projections !== 'per-scale' || config.mix !== 'global')
    throw new InputError(`bench ${bench}: the paper's models have "projections" per-scale and "mix" global`);
  if (config.encoder.architecture !== 'bert')
    throw new InputError(`bench ${bench}: the paper's models have a BERT encoder`);
}

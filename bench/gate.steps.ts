/** The models' steps that `bench gate` plans and times: every model of the registry, tiny and at base size, on its demo's corpus. */
import { join } from 'node:path';
import { sizeOf } from '../kernels/plan.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import type { Measured } from '../src/gate/baseline.ts';
import { planStep } from '../src/gate/plan-step.ts';
import { readTextFile } from '../src/io/files.ts';
import type { Json } from '../src/models/config.ts';
import type { Precision, Source } from '../src/nn/parameters.ts';
import { AdamW, GradScaler } from '../src/optim/index.ts';
import { readSplits } from '../src/tasks/corpus-file.ts';
import type { Definition } from '../src/tasks/definition.ts';
import { definitions } from '../src/tasks/registry.ts';
import { trainStep } from '../src/tasks/training/step.ts';
import { planTraining } from '../src/tasks/training/train.ts';
import { gateCaps } from './gate.cases.ts';
import type { TimedTraining } from './gate.time.ts';

/** Nothing is computed: all parameters may have the same zeros. */
function zeros(): Source {
  let all = new Float32Array(0);
  return {
    values(_name, shape) {
      const size = sizeOf(shape);
      if (all.length < size) all = new Float32Array(size);
      return all.subarray(0, size);
    },
  };
}

/** BERT-base's encoder. */
const base = {
  ...{ model_type: 'bert', hidden_size: 768, num_hidden_layers: 12, num_attention_heads: 12 },
  ...{ intermediate_size: 3072, hidden_act: 'gelu', max_position_embeddings: 512, type_vocab_size: 2 },
  ...{ layer_norm_eps: 1e-12, vocab_size: 28_996 },
};

/** A training step of a model, on a device by its name in `gateCaps`. */
export interface StepCase {
  name: string;
  definition: Definition;
  config: Json;
  device: string;
  precision?: Precision;
}

/**
 * The models of the demos, as they are there and on an encoder of BERT-base's size, in f32 and in f16; plain ones leave a paper's
 * part out.
 */
export const stepCases = (): StepCase[] =>
  definitions.flatMap((definition) =>
    definition
      .demo!.variants.filter(({ folder }) => folder !== 'plain')
      .flatMap(({ folder, config }) => {
        const name = [definition.name, ...(definition.demo!.stages ? [folder] : [])].join(' ');
        const large = { ...config, ...definition.pretrained, encoder: base };
        const narrow = { definition, config: large, device: 'nvidia', precision: 'f16' as const };
        return [
          { name: `${name} tiny`, definition, config, device: 'software' },
          { name: `${name} base`, definition, config: large, device: 'nvidia' },
          { name: `${name} base in f16`, ...narrow },
        ];
      }),
  );

/** Training steps on the first batch of a demo; a case is `stsn tiny, software`. */
export async function stepQuantities(cases = stepCases()): Promise<Measured> {
  const measured: Record<string, Measured[string]> = {};
  for (const { name, definition, config, device, precision } of cases) {
    const { corpus, recipe } = definition.demo!;
    const { train } = readSplits(definition, join(packageRoot(), 'corpora', corpus), ['train']);
    const planned = planTraining(definition, { train, recipe, config, precision });
    measured[`${name}, ${device}`] = await planStep(gateCaps[device], async (runtime) => {
      const loaded = await planned.model(runtime, zeros());
      const epochs = definition.epochs({ ...loaded, train: planned.train, recipe: planned.recipe });
      const batch = epochs.epoch(0, -1).batch(0, 0);
      const { lr, weightDecay, clip } = planned.recipe;
      const optimizer = new AdamW(loaded.model.parameters, { lr, weightDecay });
      const scaler = precision === 'f16' ? new GradScaler(optimizer) : undefined;
      let step = 0;
      return () => trainStep(definition, loaded.model, optimizer, batch, { step: step++, lr, clip, scaler });
    });
  }
  return measured;
}

/** Rows of the corpus that a timed training sees: some steps. */
const ROWS = 24;

/** The trainings that `bench gate --time` times: the tiny cases, an epoch on the first rows of their demo's corpus. */
export const timedTrainings = (cases: readonly StepCase[]): TimedTraining[] =>
  cases
    .filter(({ device }) => device === 'software')
    .map(({ name, definition, config }) => {
      const { corpus, recipe } = definition.demo!;
      const rows = JSON.parse(
        readTextFile(join(packageRoot(), 'corpora', corpus, 'train.json'), 'corpus'),
      ) as Json[];
      return {
        ...{ name: `${name}, training`, definition: definition.name, config },
        ...{ recipe: { ...recipe, epochs: 1 }, data: JSON.stringify(rows.slice(0, ROWS)) },
      };
    });

/** The steps that `bench host` takes: small STSN on the demo's batches, CEREM at base size. */
import { join } from 'node:path';
import { packageRoot } from '../src/cli/package-root.ts';
import { ceremBase } from '../src/models/cerem.ts';
import type { Runtime } from '../src/node.ts';
import { AdamW } from '../src/optim/index.ts';
import { readSplits } from '../src/tasks/corpus-file.ts';
import type { Definition, MicroBatch, Model, Types } from '../src/tasks/definition.ts';
import { cerem } from '../src/tasks/prompts/cerem.ts';
import type { SpanBatch } from '../src/tasks/spans/model.ts';
import { smallEncoder } from '../src/tasks/small-encoder.ts';
import { stsn } from '../src/tasks/spans/stsn.ts';
import { startStep, type StartedStep } from '../src/tasks/training/step.ts';
import { planTraining } from '../src/tasks/training/train.ts';
import { buildVariant, randomBatch } from './cerem.variants.ts';

/** Steps that repeat: those of a training, or its forward passes with the losses. */
export interface HostCase {
  name: string;
  /** Steps before those that are measured. */
  warmUp: number;
  /** Makes the batches of the steps before `end`, which is no part of what is measured. */
  prepare(end: number): void;
  /** The step i, from 0, and the read of losses: a pass's own, a training step's of the one before. */
  step(i: number): Promise<void>;
  release(): void;
}

/** A model and its batches, for both cases of it. */
interface Subject<T extends Types = Types> {
  definition: Definition<T>;
  model: T['model'] & Model;
  /** The batch of step i, made once. */
  batch(i: number): MicroBatch<T['batch']>[];
  warmUp: number;
}

const RATE = 1e-4;
const TOKENS = 256;
/** Steps after which V8 has compiled what a step runs: a training takes thousands. */
const COMPILED = 2000;

/** STSN as `npm start` trains it: batches of its corpus, in its order, epoch after epoch. */
async function stsnSubject(runtime: Runtime, fixed: boolean): Promise<Subject> {
  const folder = join(packageRoot(), 'corpora', stsn.demo!.corpus);
  const { train } = readSplits(stsn, folder, ['train']);
  const { recipe, variants } = stsn.demo!;
  const planned = planTraining(stsn, {
    ...{ train, recipe, config: { encoder: smallEncoder, ...variants[0].config } },
  });
  const loaded = await planned.model(runtime);
  const { batches, epoch } = stsn.epochs({ ...loaded, train, recipe: planned.recipe });
  const made: MicroBatch<SpanBatch>[][] = [];
  const nth = (i: number) => (made[i] ??= epoch(Math.floor(i / batches), -1).batch(i % batches, i));
  const first = nth(0);
  return {
    ...{ definition: stsn as unknown as Definition, model: loaded.model },
    batch: fixed ? () => first : nth,
    warmUp: fixed ? COMPILED : Math.max(batches, COMPILED),
  };
}

/** CEREM at base size on `rows` texts of 256 pieces with one answer each. */
function ceremSubject(runtime: Runtime, rows: number): Subject {
  const size = rows * TOKENS;
  const targets = {
    start: Int32Array.from({ length: size }, (_, i) => Number(i % TOKENS === 0)),
    end: Int32Array.from({ length: size }, (_, i) => Number(i % TOKENS === TOKENS - 1)),
    mask: new Int32Array(size).fill(1),
  };
  const batch = { batch: randomBatch(rows, TOKENS, ceremBase), targets };
  return {
    ...{ definition: cerem as unknown as Definition, model: buildVariant(runtime, ceremBase) },
    ...{ batch: () => [{ share: 1, counts: {}, batch }], warmUp: COMPILED },
  };
}

const subjects: Readonly<Record<string, (runtime: Runtime) => Subject | Promise<Subject>>> = {
  'stsn-ragged': (runtime) => stsnSubject(runtime, false),
  'stsn-fixed': (runtime) => stsnSubject(runtime, true),
  'cerem-base-1': (runtime) => ceremSubject(runtime, 1),
  'cerem-base-8': (runtime) => ceremSubject(runtime, 8),
};

const passes = {
  forward({ definition, model, batch }: Subject): Pick<HostCase, 'step' | 'release'> {
    const { runtime } = model.parameters;
    return {
      step: (i) =>
        runtime.scope(async () => {
          for (const part of batch(i)) await (await definition.losses(model, part.batch)).loss.read();
        }),
      release: () => undefined,
    };
  },
  train({ definition, model, batch }: Subject): Pick<HostCase, 'step' | 'release'> {
    const optimizer = new AdamW(model.parameters, { lr: RATE });
    let before: StartedStep | undefined;
    return {
      // As a training does it: the losses of a step are waited for when the next one is under way.
      async step(i) {
        const started = await startStep(definition, model, optimizer, batch(i), {
          step: i,
          lr: RATE,
          clip: 1,
        });
        // Nothing was computed: the losses are what happens to lie there, and may be no numbers.
        await before?.losses.catch(() => undefined);
        before = started;
      },
      release() {
        model.parameters.zeroGrad();
        optimizer.release();
      },
    };
  },
};

/** The names of all cases: a model's forward pass, then its training step. */
export const caseNames: readonly string[] = Object.keys(subjects).flatMap((name) =>
  Object.keys(passes).map((pass) => `${name}-${pass}`),
);

/** The named cases, those of a model together. */
export function casesByModel(names: readonly string[]): string[][] {
  const models = Object.keys(subjects).map((stem) =>
    Object.keys(passes)
      .map((pass) => `${stem}-${pass}`)
      .filter((name) => names.includes(name)),
  );
  return models.filter((cases) => cases.length > 0);
}

/** Runs `body` on each of the named cases in turn; a model is built once for its cases. */
export async function eachCase(
  runtime: Runtime,
  names: readonly string[],
  body: (hostCase: HostCase) => Promise<void>,
): Promise<void> {
  for (const [stem, make] of Object.entries(subjects)) {
    const chosen = Object.entries(passes).filter(([pass]) => names.includes(`${stem}-${pass}`));
    if (chosen.length === 0) continue;
    const subject = await make(runtime);
    try {
      for (const [pass, steps] of chosen) {
        const made = steps(subject);
        try {
          await body({
            ...{ name: `${stem}-${pass}`, warmUp: subject.warmUp },
            prepare: (end) => {
              for (let i = 0; i < end; i++) subject.batch(i);
            },
            ...made,
          });
        } finally {
          made.release();
        }
      }
    } finally {
      subject.model.parameters.release();
      runtime.memory.trim();
    }
  }
}

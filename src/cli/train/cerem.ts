/** `spanwise train --model cerem`. */
import { join } from 'node:path';
import type { Runtime } from '../../gpu/runtime.ts';
import { ceremAttention } from '../../models/cerem.ts';
import { ceremFromEncoder, loadCerem, randomCerem, readSchema } from '../../tasks/cerem/checkpoint.ts';
import { inferSchema, parseSchema, type Schema } from '../../tasks/cerem/schema.ts';
import { completeCeremConfig, smallCerem, vocabularyOf } from '../../tasks/cerem/setup.ts';
import {
  defaultCeremRecipe,
  pretrainedCeremRecipe,
  savedCeremRecipe,
  trainCerem,
  type DocumentCorpus,
  type TrainCeremOptions,
} from '../../tasks/cerem/train.ts';
import { readJsonFile } from '../../tasks/checkpoint.ts';
import { readDocumentsFile } from '../../tasks/corpus/corpus-file.ts';
import { documentNotes } from '../../tasks/corpus/notes.ts';
import { LAST } from '../../tasks/training/state.ts';
import type { Arguments } from '../command.ts';
import { shownOfCerem } from './progress.ts';
import { ceremRecipe, ceremRecipeOptions } from './recipe.ts';
import { modelSource, refuseModelFolder, refuseSource } from './source.ts';
import type { Prepared, Trainer } from './trainer.ts';

type Inputs = Pick<TrainCeremOptions, 'train' | 'dev' | 'schema' | 'recipe' | 'notes'>;

/** The training of the model that `make` makes. */
const training = (
  inputs: Inputs,
  make: (runtime: Runtime) => Pick<TrainCeremOptions, 'model' | 'tokenizer'>,
): Prepared => ({
  recipe: inputs.recipe,
  async train(runtime, options) {
    const made = make(runtime);
    const report = await trainCerem({ ...made, ...inputs, ...options });
    return { report, parameters: made.model.parameters.count() };
  },
});

function readCorpus(file: string): DocumentCorpus & { notes: string[] } {
  const { documents, notes } = readDocumentsFile(file);
  return {
    documents,
    file,
    notes: [...notes, ...documentNotes(documents)].map((note) => `${file}: ${note}`),
  };
}

const chosenSchema = (file: string | undefined, { documents, file: data }: DocumentCorpus): Schema =>
  file === undefined
    ? inferSchema(documents, { what: data })
    : parseSchema(readJsonFile(file, 'schema'), file);

function prepare(args: Arguments): Prepared {
  const out = args.text('out');
  const train = readCorpus(args.text('data'));
  const devFile = args.optional('dev');
  const dev = devFile === undefined ? undefined : readCorpus(devFile);
  const notes = [...train.notes, ...(dev?.notes ?? [])];
  if (args.flag('resume')) {
    refuseSource(args, ['schema']);
    const last = join(out, LAST);
    const recipe = ceremRecipe(args, savedCeremRecipe(out));
    return training({ train, dev, schema: readSchema(last), recipe, notes }, (runtime) =>
      loadCerem(runtime, last),
    );
  }
  refuseModelFolder(out, 'or continue it with --resume');
  const schema = chosenSchema(args.optional('schema'), train);
  const { json, what, encoder, tokenizer } = modelSource(args, smallCerem, ceremAttention, () =>
    vocabularyOf(train.documents, schema),
  );
  const config = completeCeremConfig(json, what, tokenizer);
  if (!encoder && args.optional('freeze-until') !== undefined)
    args.fail('--freeze-until goes with --encoder: random weights are never frozen');
  const recipe = ceremRecipe(
    args,
    encoder ? { ...pretrainedCeremRecipe, ...(dev ? {} : { freezeUntil: 0 }) } : defaultCeremRecipe,
  );
  if (recipe.freezeUntil > 0 && !dev) args.fail('--freeze-until needs --dev, whose score ends the freezing');
  if (encoder && !dev) notes.push('without --dev the encoder is not frozen at first');
  const mixInit = { constant: recipe.mixInit };
  return training(
    { train, dev, schema, recipe, notes: [...(encoder?.notes ?? []), ...notes] },
    (runtime) => ({
      model: encoder
        ? ceremFromEncoder(runtime, config, encoder, recipe.seed, mixInit)
        : randomCerem(runtime, config, recipe.seed, mixInit),
      tokenizer,
    }),
  );
}

export const ceremTrainer: Trainer = {
  options: {
    schema: {
      value: 'FILE',
      doc: 'cerem: what to ask of a text and how (JSON); the types of the training data when absent',
    },
    ...ceremRecipeOptions,
  },
  files: ['schema'],
  prepare,
  shown: shownOfCerem,
};

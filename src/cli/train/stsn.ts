/** `spanwise train --model stsn`. */
import { join } from 'node:path';
import { readSpertFile } from '../../tasks/dataset-file.ts';
import { checkLabels } from '../../tasks/dataset.ts';
import { loadStsn, randomStsn, stsnFromEncoder } from '../../tasks/stsn/checkpoint.ts';
import { completeConfig, smallStsn, vocabularyOf } from '../../tasks/stsn/setup.ts';
import { defaultRecipe, savedRecipe, trainStsn, type TrainOptions } from '../../tasks/stsn/train.ts';
import { LAST } from '../../tasks/training/state.ts';
import type { Runtime } from '../../gpu/runtime.ts';
import type { Arguments } from '../command.ts';
import { shownOfStsn } from './progress.ts';
import { stsnRecipe, stsnRecipeOptions } from './recipe.ts';
import { modelSource, refuseModelFolder, refuseSource } from './source.ts';
import type { Prepared, Trainer } from './trainer.ts';

type Inputs = Pick<TrainOptions, 'train' | 'dev' | 'recipe' | 'notes'>;

/** The training of the model that `make` makes. */
const training = (
  inputs: Inputs,
  make: (runtime: Runtime) => Pick<TrainOptions, 'model' | 'tokenizer'>,
): Prepared => ({
  recipe: inputs.recipe,
  async train(runtime, options) {
    const made = make(runtime);
    const report = await trainStsn({ ...made, ...inputs, ...options });
    return { report, parameters: made.model.parameters.count() };
  },
});

function prepare(args: Arguments): Prepared {
  const out = args.text('out');
  const read = (file: string) => ({ sentences: readSpertFile(file), file });
  const train = read(args.text('data'));
  const devFile = args.optional('dev');
  const dev = devFile === undefined ? undefined : read(devFile);
  if (args.flag('resume')) {
    refuseSource(args);
    const recipe = stsnRecipe(args, savedRecipe(out));
    return training({ train, dev, recipe }, (runtime) => loadStsn(runtime, join(out, LAST)));
  }
  refuseModelFolder(out, 'or continue it with --resume');
  const recipe = stsnRecipe(args, defaultRecipe);
  const { json, what, encoder, tokenizer } = modelSource(args, smallStsn, {}, () =>
    vocabularyOf(train.sentences),
  );
  const config = completeConfig(json, what, train.sentences, tokenizer);
  for (const corpus of [train, ...(dev ? [dev] : [])]) checkLabels(corpus.sentences, config, corpus.file);
  return training({ train, dev, recipe, notes: encoder?.notes }, (runtime) => ({
    model: encoder
      ? stsnFromEncoder(runtime, config, encoder, recipe.seed)
      : randomStsn(runtime, config, recipe.seed),
    tokenizer,
  }));
}

export const stsnTrainer: Trainer = {
  options: stsnRecipeOptions,
  files: [],
  prepare,
  shown: shownOfStsn,
};

/** What the tests of STSN share: a model of a few thousand parameters, the shipped corpus. */
import type { Runtime } from '../../../src/gpu/runtime.ts';
import type { Json } from '../../../src/models/config.ts';
import type { Stsn, StsnConfig } from '../../../src/models/stsn.ts';
import { newModel } from '../../../src/tasks/checkpoint.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import type { SpanCorpus, SpanRecipe, SpanTypes } from '../../../src/tasks/spans/model.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { buildVocab } from '../../../src/tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { defaultRecipe } from '../../../src/tasks/training/recipe.ts';
import type { TestRun } from '../runs.ts';

export { differences, finalFiles, inputError, logOf, temporaryFolder, trainRun } from '../runs.ts';

export type StsnRun = TestRun<SpanTypes<Stsn>>;

const { sentences: shipped } = readCorpus(stsn, 'corpora/expeditions/train.json');

/** Sentences as a corpus. */
export const corpusOf = (sentences: readonly Sentence[], file: string): SpanCorpus => ({
  ...{ sentences, file },
  notes: [],
});

/** Sentences `from` to `to` of the shipped corpus's training split. */
export const sentencesOf = (from: number, to: number): Sentence[] => shipped.slice(from, to);

export const tokenizerOf = (sentences: readonly Sentence[]): Tokenizer =>
  createWordPieceTokenizer({
    vocab: buildVocab(
      sentences.flatMap((s) => s.tokens),
      { doLowerCase: false },
    ),
    doLowerCase: false,
  });

export const tinyEncoder = {
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 128,
};

/** One encoder layer of 16 with two heads and one STSN layer; `given` overrides. */
export function tinyConfig(
  sentences: readonly Sentence[],
  tokenizer: Tokenizer,
  given: Json = {},
): StsnConfig {
  return stsn.complete(
    { encoder: tinyEncoder, layers: 1, heads: 2, widthEmbeddingSize: 4, ...given },
    'config',
    corpusOf(sentences, 'train.json'),
    tokenizer,
  );
}

/** Three epochs of six steps on 24 sentences, at a rate at which a tiny model moves far. */
export const tinyRecipe: SpanRecipe = { ...defaultRecipe(stsn.recipe), epochs: 3, lr: 3e-3, seed: 7 };

/** A model with random weights of a seed. */
export const randomModel = (runtime: Runtime, config: StsnConfig, seed: number): Stsn =>
  newModel(runtime, stsn, config, { ...tinyRecipe, seed });

/** A tiny training run with a model of its own, made from the recipe's seed. */
export function tinyRun(
  runtime: Runtime,
  out: string,
  overrides: Partial<SpanRecipe> = {},
  given: Json = {},
): StsnRun {
  const recipe = { ...tinyRecipe, ...overrides };
  const train = corpusOf(sentencesOf(0, 24), 'train.json');
  const dev = corpusOf(sentencesOf(24, 30), 'dev.json');
  const tokenizer = tokenizerOf(train.sentences);
  const model = randomModel(runtime, tinyConfig(train.sentences, tokenizer, given), recipe.seed);
  return { model, tokenizer, extra: undefined, what: out, train, dev, recipe, out };
}

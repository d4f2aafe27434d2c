/** What the tests of STSN share: a model of a few thousand parameters, the shipped corpus. */
import type { Json } from '../../../src/models/config.ts';
import type { Stsn, StsnConfig } from '../../../src/models/stsn.ts';
import type { Runtime } from '../../../src/gpu/runtime.ts';
import { readSpertFile } from '../../../src/tasks/dataset-file.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { randomStsn } from '../../../src/tasks/stsn/checkpoint.ts';
import { completeConfig } from '../../../src/tasks/stsn/setup.ts';
import { defaultRecipe, type Recipe, type TrainOptions } from '../../../src/tasks/stsn/train.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { buildVocab } from '../../../src/tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';

export { differences, finalFiles, inputError, logOf, temporaryFolder } from '../runs.ts';

const corpus = readSpertFile('corpora/expeditions/train.json');

/** Sentences `from` to `to` of the shipped corpus's training split. */
export const sentencesOf = (from: number, to: number): Sentence[] => corpus.slice(from, to);

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
  return completeConfig(
    { encoder: tinyEncoder, layers: 1, heads: 2, widthEmbeddingSize: 4, ...given },
    'config',
    sentences,
    tokenizer,
  );
}

/** Three epochs of six steps on 24 sentences, at a rate at which a tiny model moves far. */
export const tinyRecipe: Recipe = { ...defaultRecipe, epochs: 3, lr: 3e-3, seed: 7 };

/** Options of a tiny training run with a model of its own, made from the recipe's seed. */
export function tinyRun(
  runtime: Runtime,
  out: string,
  overrides: Partial<Recipe> = {},
  given: Json = {},
): TrainOptions {
  const recipe = { ...tinyRecipe, ...overrides };
  const train = { sentences: sentencesOf(0, 24), file: 'train.json' };
  const dev = { sentences: sentencesOf(24, 30), file: 'dev.json' };
  const tokenizer = tokenizerOf(train.sentences);
  const model: Stsn = randomStsn(runtime, tinyConfig(train.sentences, tokenizer, given), recipe.seed);
  return { model, tokenizer, train, dev, recipe, out };
}

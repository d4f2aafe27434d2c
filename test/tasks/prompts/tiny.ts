/** What the tests of CEREM's training share: a model of a few thousand parameters and a corpus made of patterns. */
import type { Runtime } from '../../../src/gpu/runtime.ts';
import type { Json } from '../../../src/models/config.ts';
import { newModel } from '../../../src/tasks/checkpoint.ts';
import type { Document } from '../../../src/tasks/document.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import { parseSchema } from '../../../src/tasks/prompts/schema.ts';
import type { CeremRecipe, CeremTypes, PromptCorpus } from '../../../src/tasks/prompts/training.ts';
import { defaultRecipe } from '../../../src/tasks/training/recipe.ts';
import type { TestRun } from '../runs.ts';

export type CeremRun = TestRun<CeremTypes>;

const crops = ['稻', '小麦', '黄瓜', '𬭛瓜', 'ＲＩＣＥ'];
const pests = ['蚜虫', '锈病', '飞虱', '白粉病'];
const fillers = ['今年', '去年夏天', '在北边的田里，', ''];

/** A crop with a pest in some words, and now and then a crop alone. */
function pattern(i: number): Document {
  const [crop, pest, filler] = [crops[i % 5], pests[i % 4], fillers[i % 3]];
  const start = filler.length;
  const entities = [{ type: '作物', start, end: start + crop.length }];
  if (i % 6 === 5) return { text: `${filler}${crop}长势很好。`, entities, relations: [] };
  const from = start + crop.length + 2;
  entities.push({ type: '病虫害', start: from, end: from + pest.length });
  const text = `${filler}${crop}有了${pest}。`;
  return { text, entities, relations: [{ type: '危害', head: 1, tail: 0 }] };
}

export const documentsOf = (from: number, to: number): Document[] =>
  Array.from({ length: to - from }, (_, i) => pattern(from + i));

/** Documents as a corpus. */
export const corpusOf = (documents: readonly Document[], file: string): PromptCorpus => ({
  ...{ documents, file },
  notes: [],
});

export const schema = parseSchema(
  {
    entities: { 作物: '作物', 病虫害: '病害或虫害', 药剂: '药剂' },
    relations: { 病虫害: { 危害: { name: '危害', object: '作物' }, 症状: {} } },
  },
  'schema',
);

/** Three epochs of some six steps on 18 texts, at a rate at which a tiny model moves far. */
export const tinyRecipe: CeremRecipe = {
  ...defaultRecipe(cerem.recipe),
  epochs: 3,
  lr: 1e-2,
  batch: 12,
  seed: 7,
  buckets: 3,
};

/** A tiny training run with a model of its own, made from the recipe's seed; `given` is of its config. */
export function tinyRun(
  runtime: Runtime,
  out: string,
  overrides: Partial<CeremRecipe> = {},
  given: Json = {},
): CeremRun {
  const recipe = { ...tinyRecipe, ...overrides };
  const train = corpusOf(documentsOf(0, 18), 'train.json');
  const dev = corpusOf(documentsOf(18, 24), 'dev.json');
  const tokenizer = cerem.vocabulary(train, schema, {}, 'config');
  const encoder = {
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 64,
  };
  const config = cerem.complete(
    { encoder, scales: [2, 3], heads: 2, headSize: 8, ...given },
    'config',
    train,
    tokenizer,
  );
  const model = newModel(runtime, cerem, config, recipe);
  return { model, tokenizer, extra: schema, what: out, train, dev, recipe, out };
}

/**
 * Trains the model that the page brings: a CEREM that reads Chinese and English, from random weights, on the corpora of
 * the package. `node examples/web/train.mjs` writes it to examples/web/model; its scores are printed.
 */
import { Buffer } from 'node:buffer';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  buildVocab,
  cerem,
  createWordPieceTokenizer,
  loadModel,
  memoryStorage,
  openRuntime,
  parseSchema,
  train,
} from 'spanwise/node';

const corpora = new URL('../../corpora/', import.meta.url);
const out = fileURLToPath(new URL('model/', import.meta.url));
const read = (path) => readFileSync(new URL(path, corpora), 'utf8');
/** Rows of both corpora, one language after the other. */
const rows = (split) =>
  ['crops', 'expeditions'].map((name) =>
    JSON.parse(read(`${name}/${split}.json`)).map((row) => ({
      ...row,
      text: row.text ?? row.tokens.join(' '),
    })),
  );

const crops = JSON.parse(read('crops/schema.json'));
const schema = {
  entities: {
    ...crops.entities,
    ...{ Person: 'person', Organization: 'organization', Place: 'place', Instrument: 'instrument' },
  },
  relations: {
    ...crops.relations,
    Person: {
      Works_For: { name: 'works for', object: 'Organization' },
      Uses: { name: 'uses', object: 'Instrument' },
    },
    Organization: {
      Based_In: { name: 'based in', object: 'Place' },
      Uses: { name: 'operates', object: 'Instrument' },
    },
    Place: { Located_In: { name: 'located in', object: 'Place' } },
  },
  // For both languages.
  templates: { relation: '{subject}: {relation}' },
};
const names = Object.values(schema.relations).flatMap((of) =>
  Object.entries(of).map(([type, { name }]) => name ?? type),
);
const trained = rows('train').flat();
const prompts = [...Object.values(schema.entities), ...names, ':'];
// Chinese by characters; of English the words of prompts and those that occur twice, the others by their letters.
const vocab = buildVocab([...trained.map(({ text }) => text), ...prompts, ...prompts], {
  doLowerCase: false,
});

const config = {
  ...{ sia: true, scales: [2, 3, 4], heads: 4, headSize: 8, projections: 'shared', threshold: 0.3 },
  encoder: {
    ...{
      model_type: 'bert',
      hidden_size: 32,
      intermediate_size: 64,
      num_hidden_layers: 1,
      num_attention_heads: 4,
    },
    ...{ hidden_act: 'gelu', max_position_embeddings: 160, type_vocab_size: 2, layer_norm_eps: 1e-12 },
  },
};

const runtime = await openRuntime();
const files = new Map();
const storage = memoryStorage(files);
await train(cerem, JSON.stringify(trained), {
  ...{ runtime, storage, config, extra: parseSchema(schema, 'schema') },
  tokenizer: createWordPieceTokenizer({ vocab, doLowerCase: false }),
  dev: JSON.stringify(rows('dev').flat()),
  recipe: { epochs: 12, lr: 3e-3, batch: 16, seed: 1 },
  onEvent: (event) => event.event === 'epoch' && console.log(JSON.stringify(event)),
});
const model = await loadModel(runtime, storage.source);
for (const [i, language] of ['Chinese', 'English'].entries()) {
  const { entity, triple } = await model.evaluate(JSON.stringify(rows('test')[i]));
  const [entityF1, tripleF1] = [entity, triple].map(({ micro }) => (100 * micro.f1).toFixed(1));
  console.log(`${language}, test: entity F1 ${entityF1}, triple F1 ${tripleF1}`);
}
mkdirSync(out, { recursive: true });
for (const [name, content] of Object.entries(await model.files())) {
  const bytes = Array.isArray(content) ? Buffer.concat(content) : content;
  writeFileSync(out + name, bytes);
  console.log(`${name}: ${bytes.length} bytes`);
}
runtime.close();

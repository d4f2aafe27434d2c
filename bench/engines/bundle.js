// The suite with its files, as it is bundled for every engine (build.ts): they travel as bytes.
import corpus from '../../corpora/expeditions/train.json';
import config from '../../examples/web/model/config.json';
import weights from '../../examples/web/model/model.safetensors';
import schema from '../../examples/web/model/schema.json';
import tokenizer from '../../examples/web/model/tokenizer_config.json';
import vocab from '../../examples/web/model/vocab.txt';
import { runSuite } from './suite.ts';

const checkpoint = {
  'config.json': config,
  'model.safetensors': weights,
  'schema.json': schema,
  'tokenizer_config.json': tokenizer,
  'vocab.txt': vocab,
};

export const run = (gpu, asked) => runSuite(gpu, asked, { corpus, checkpoint });

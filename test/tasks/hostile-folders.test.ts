/** Folders that nobody should hang, crash or fill the memory with: each is refused in one line that names the key. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { InputError, openRuntime } from '../../src/node.ts';
import { parseBertConfig } from '../../src/models/bert-config.ts';
import { parseJson } from '../../src/io/json.ts';
import { corpusContent } from '../../src/tasks/corpus-file.ts';
import { newModel } from '../../src/tasks/checkpoint.ts';
import { openFolder } from '../../src/tasks/folder.ts';
import { definitions } from '../../src/tasks/registry.ts';
import { tokenizerFromFiles } from '../../src/tasks/text/from-files.ts';
import { loadTokenizer } from '../../src/tasks/text/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'spanwise-hostile-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

/** Ends in an InputError of one short line within two seconds and few megabytes (the machine may be busy: five). */
async function refuses(
  t: test.Test,
  name: string,
  action: () => unknown,
  words: RegExp,
  megabytes = 64,
): Promise<void> {
  const from = Date.now();
  const before = process.memoryUsage().rss;
  try {
    await action();
    t.fail(`${name}: must be refused`);
  } catch (error) {
    const { message } = error as Error;
    t.ok(error instanceof InputError && words.test(message), `${name}: ${String(error).slice(0, 300)}`);
    t.notOk(message.includes('\n'), 'one line');
  }
  t.ok(Date.now() - from < 5000, `${Date.now() - from} ms`);
  t.ok(process.memoryUsage().rss - before < megabytes * 2 ** 20, 'memory');
}

const encoder = {
  vocab_size: 30,
  hidden_size: 16,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 32,
  max_position_embeddings: 40,
};
/** The least that the model of each name is configured by. */
const own: Record<string, object> = {
  stsn: { entityTypes: ['A'], relationTypes: ['R'] },
  iser: { entityTypes: ['A'], relationTypes: ['R'] },
  lai: { stage: 'entities', entityTypes: ['A'] },
  cerem: { scales: [1], heads: 1, headSize: 8 },
};

test('sizes that no tensor can have', async (t) => {
  for (const key of Object.keys(encoder))
    for (const size of [1e9, 2 ** 31, 1e15, 1e300])
      await refuses(
        t,
        `${key} ${size}`,
        () => parseBertConfig({ ...encoder, [key]: size }, 'c.json'),
        new RegExp(`^c\\.json: "${key}" must be `),
      );
  const keys: Record<string, string[]> = {
    stsn: ['layers', 'heads', 'maxSpanWidth', 'widthEmbeddingSize'],
    iser: ['heads', 'maxSpanWidth', 'widthEmbeddingSize'],
    lai: ['graphLayers', 'views', 'maxSpanWidth', 'maxCandidates'],
    cerem: ['heads', 'headSize', 'maxLength'],
  };
  for (const { name, parseConfig } of definitions) {
    parseConfig({ model: name, encoder, ...own[name] }, name);
    for (const key of keys[name])
      await refuses(
        t,
        `${name} ${key}`,
        () => parseConfig({ model: name, encoder, ...own[name], [key]: 1e9 }, 'c.json'),
        new RegExp(`^c\\.json: "${key}" must be `),
      );
  }
});

test('sizes that are well each, and not together', async (t) => {
  const runtime = await openRuntime({ defaultLimits: true });
  const wide = { ...encoder, vocab_size: 2 ** 24, hidden_size: 2 ** 16 };
  const deep = { ...encoder, hidden_size: 4096, intermediate_size: 16384, num_hidden_layers: 1000 };
  for (const definition of definitions)
    for (const sizes of [wide, deep]) {
      const config = definition.parseConfig(
        { model: definition.name, encoder: sizes, ...own[definition.name] },
        'c.json',
      );
      const recipe = Object.fromEntries(
        Object.entries(definition.recipe).map(([key, field]) => [key, field.default]),
      );
      await refuses(
        t,
        definition.name,
        () => newModel(runtime, definition, config as never, recipe as never),
        /^the configuration makes a model of \d+ parameters, over 2147483648: see /,
      );
      // A folder whose weights are another model's: what is missing is told, not allocated.
      const dir = mkdtempSync(join(folder, 'model-'));
      writeFileSync(join(dir, 'vocab.txt'), '[PAD]\n[UNK]\n[CLS]\n[SEP]\n');
      writeFileSync(
        join(dir, 'config.json'),
        JSON.stringify({ model: definition.name, encoder: sizes, ...own[definition.name] }),
      );
      const header = Buffer.from('{}      ');
      const length = Buffer.alloc(8);
      length.writeUInt32LE(header.length);
      writeFileSync(join(dir, 'model.safetensors'), Buffer.concat([length, header]));
      await refuses(
        t,
        `${definition.name} from a folder`,
        async () => (await openFolder(dir)).load(runtime),
        /over 1073741824 values$|missing encoder\./,
        1024,
      );
    }
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
  runtime.close();
});

test('ids of tokens that would make a list as long as they are', async (t) => {
  const unigram = (id: unknown) =>
    JSON.stringify({
      added_tokens: [{ content: '[MORE]', id, special: false }],
      model: {
        type: 'Unigram',
        unk_id: 1,
        vocab: ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'a'].map((entry) => [entry, -1]),
      },
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
      decoder: null,
      post_processor: null,
    });
  for (const id of [1e7, 2 ** 31, 2 ** 53, -1, 0.5, 1e300])
    await refuses(
      t,
      `an added token of id ${id}`,
      () => tokenizerFromFiles({ 'tokenizer.json': unigram(id) }),
      /^tokenizer\.json: the id of "\[MORE\]" is .*, not an integer from 0 to 65541$/,
    );
  await refuses(
    t,
    'beside it',
    () => tokenizerFromFiles({ 'tokenizer.json': unigram(5), 'added_tokens.json': '{"[FAR]": 1e7}' }),
    /the id of "\[FAR\]" is 10000000, not an integer/,
  );
  const bpe = JSON.stringify({
    model: { type: 'BPE', vocab: { '[PAD]': 0, '[UNK]': 1, '[CLS]': 2, '[SEP]': 3, a: 1e7 }, merges: [] },
  });
  await refuses(
    t,
    'a piece',
    () => tokenizerFromFiles({ 'tokenizer.json': bpe }),
    /the id of "a" is 10000000/,
  );
});

test('JSON that is deep, or long', async (t) => {
  const words = /^f: lists or objects nested over 200 deep$/;
  const deep = 100_000;
  await refuses(t, 'lists', () => parseJson('['.repeat(deep) + ']'.repeat(deep), 'f'), words);
  await refuses(t, 'objects', () => parseJson('{"a":'.repeat(deep) + '1' + '}'.repeat(deep), 'f'), words);
  t.ok(parseJson('['.repeat(200) + ']'.repeat(200), 'f'), 'what is not that deep is read');
  const broken = /^f: line 1: not JSON /;
  await refuses(t, 'deep and broken', () => parseJson('['.repeat(deep), 'f'), broken);
  await refuses(t, 'a long string without an end', () => parseJson(`"${'x'.repeat(2e7)}`, 'f'), broken, 256);
  await refuses(t, 'of escapes', () => parseJson(`["${'\\n'.repeat(1e6)}`, 'f'), broken, 256);
  const long = parseJson(JSON.stringify({ a: 'x'.repeat(1e6) }), 'f');
  t.equal((long as { a: string }).a.length, 1e6);
});

test('links in a circle, and what is no folder', async (t) => {
  const circle = join(folder, 'circle');
  symlinkSync(circle, circle);
  const many = /too many symbolic links/;
  await refuses(t, 'a model', () => openFolder(circle), many);
  await refuses(t, 'a tokenizer', () => loadTokenizer(circle), many);
  await refuses(t, 'a corpus', () => corpusContent(circle), many);
  const dir = join(folder, 'with-circles');
  mkdirSync(dir);
  for (const name of ['config.json', 'model.safetensors', 'vocab.txt']) symlinkSync(name, join(dir, name));
  await refuses(t, 'its files', () => openFolder(dir), /config\.json/);
  const file = join(folder, 'file');
  writeFileSync(file, '');
  await refuses(t, 'below a file', () => openFolder(join(file, 'x')), /no such model folder$/);
});

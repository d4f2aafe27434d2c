/** Encoder folders as people have them: shards, prefixes, tensors of tasks, other formats, pointers, names for folders. */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { readSafetensorsFile, writeSafetensorsFile } from '../../src/io/files.ts';
import { serializeSafetensors, type HostTensor } from '../../src/io/safetensors.ts';
import { parseBertConfig } from '../../src/models/bert-config.ts';
import { encoderNames } from '../../src/models/encoder-names.ts';
import { readEncoder, type PretrainedEncoder } from '../../src/tasks/checkpoint.ts';
import { encoderSource } from '../../src/tasks/folder.ts';
import { inputError, temporaryFolder } from './runs.ts';

const fixtures = {
  bert: 'test/fixtures/cerem/per-scale',
  albert: 'test/fixtures/albert/cerem',
  roberta: 'test/fixtures/encoders/roberta',
  electra: 'test/fixtures/encoders/electra',
  distilbert: 'test/fixtures/encoders/distilbert',
};
type Kind = keyof typeof fixtures;
type Tensors = Map<string, HostTensor>;
const WEIGHTS = 'model.safetensors';

/** The encoder's tensors of a fixture under the names of its own library's file. */
function tensorsOf(kind: Kind, prefix = ''): Tensors {
  const all = [...readSafetensorsFile(join(fixtures[kind], WEIGHTS)).tensors];
  return new Map(
    all.flatMap(([name, tensor]) =>
      name.startsWith('encoder.') ? [[prefix + name.slice('encoder.'.length), tensor]] : [],
    ),
  );
}

/** A folder with the fixture's vocabulary and the encoder's config; `fill` puts the weights there. */
function folderOf(kind: Kind, fill: (dir: string) => void): string {
  const dir = temporaryFolder();
  const config = JSON.parse(readFileSync(join(fixtures[kind], 'config.json'), 'utf8')) as { encoder: object };
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config.encoder));
  for (const file of ['vocab.txt', 'tokenizer_config.json'])
    copyFileSync(join(fixtures[kind], file), join(dir, file));
  fill(dir);
  return dir;
}

const read = (dir: string): Promise<PretrainedEncoder> => readEncoder(encoderSource(dir), dir);
const plainNames = (kind: Kind) => [...tensorsOf(kind, 'encoder.').keys()].sort();

for (const kind of Object.keys(fixtures) as Kind[])
  test(`${kind}: under any prefix, beside a task's tensors of any dtype`, async (t) => {
    for (const prefix of ['', `${kind}.`, `module.${kind}.`, 'model.text_encoder.']) {
      const tensors = tensorsOf(kind, prefix);
      const { shape, data } = [...tensors.values()][0];
      const bytes = serializeSafetensors([...tensors, ['qa_outputs.weight', { shape, dtype: 'f32', data }]]);
      // The same bytes as a dtype that is not read: 8 of them are one F64.
      const text = new TextDecoder('latin1').decode(bytes);
      const at = text.indexOf('"qa_outputs.weight":{"dtype":"F32"') + '"qa_outputs.weight":{"dtype":"'.length;
      bytes.set(new TextEncoder().encode('F64'), at);
      const dir = folderOf(kind, (folder) => writeFileSync(join(folder, WEIGHTS), bytes));
      const encoder = await read(dir);
      t.deepEqual([...encoder.tensors.keys()].sort(), plainNames(kind), `prefix "${prefix}"`);
      t.deepEqual(encoder.notes, ['skipped qa_outputs.weight: not part of the encoder']);
    }
  });

test('which encoder is meant must be plain', (t) => {
  const word = 'embeddings.word_embeddings.weight';
  t.deepEqual(
    [...encoderNames([`a.${word}`, `a.encoder.layer.0.x`, 'encoder.layer.0.x']).values()],
    [word, 'encoder.layer.0.x'],
  );
  t.throws(() => encoderNames([`a.${word}`, `b.${word}`]), /two tensors are named .* \(one as b\.embeddings/);
  t.deepEqual(
    [...encoderNames(['bert.encoder.layer.0.x', 'cls.y', 'bert.embeddings.position_ids'])],
    [['bert.encoder.layer.0.x', 'encoder.layer.0.x']],
    'without the words, which are then told as missing',
  );
  t.end();
});

/** Half of the tensors in each of two files, with an index; `change` spoils it. */
function shards(dir: string, change: (map: Record<string, unknown>) => void = () => undefined): void {
  const tensors = [...tensorsOf('bert', 'bert.'), ...tensorsOf('bert', 'cls.')].map(
    ([name, tensor]) =>
      [name.replace(/^cls\..*(word_embeddings.weight)$/, 'cls.predictions.$1'), tensor] as const,
  );
  const half = Math.ceil(tensors.length / 2);
  const map: Record<string, unknown> = {};
  [tensors.slice(0, half), tensors.slice(half)].forEach((part, i) => {
    const file = `model-0000${i + 1}-of-00002.safetensors`;
    writeSafetensorsFile(join(dir, file), part);
    for (const [name] of part) map[name] = file;
  });
  change(map);
  writeFileSync(join(dir, `${WEIGHTS}.index.json`), JSON.stringify({ metadata: {}, weight_map: map }));
}

test('shards are read by their index', async (t) => {
  const whole = tensorsOf('bert', 'encoder.');
  const { tensors, path } = await read(folderOf('bert', shards));
  t.deepEqual([...tensors.keys()].sort(), [...whole.keys()].sort());
  t.ok([...whole].every(([name, { data }]) => String(tensors.get(name)?.data) === String(data)));
  t.match(path, /model\.safetensors\.index\.json$/);
  const [first, second] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const pooler = 'bert.pooler.dense.weight';
  const wrong: [(map: Record<string, unknown>) => void, RegExp][] = [
    [
      (map) => (map[pooler] = 'model-00003.safetensors'),
      /model-00003\.safetensors: no such file, though .* names it/,
    ],
    [
      (map) => (map[pooler] = map[pooler] === first ? second : first),
      /holds no bert\.pooler\.dense\.weight, though/,
    ],
    [
      (map) => (map[pooler] = '../x'),
      /index\.json: the file of bert\.pooler\.dense\.weight is "\.\.\/x", not a plain/,
    ],
  ];
  for (const [change, message] of wrong)
    t.match(await inputError(() => read(folderOf('bert', (dir) => shards(dir, change)))), message);
});

test('weights that cannot be read are recognised, with what helps', async (t) => {
  const complaint = (files: Record<string, string | Uint8Array>) =>
    inputError(() =>
      read(
        folderOf('bert', (dir) => {
          for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
        }),
      ),
    );
  t.match(
    await complaint({ 'pytorch_model.bin': 'x' }),
    /model\.safetensors: no such file, but .*pytorch_model\.bin, PyTorch's; convert it: python3 -c "import torch; .*save_file.*"$/,
  );
  t.match(
    await complaint({ 'tf_model.h5': 'x' }),
    /but tf_model\.h5: weights of TensorFlow must be saved as safetensors/,
  );
  t.match(await complaint({}), /model\.safetensors: no such file$/);
  const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 438000000\n';
  t.match(
    await complaint({ [WEIGHTS]: pointer }),
    /model\.safetensors: a Git LFS pointer, not the file of 438000000 bytes itself; run "git lfs pull" in its folder$/,
  );
  t.match(
    await complaint({ [WEIGHTS]: 'PK\u0003\u0004\u0000\u0000\b\b----------' }),
    /PyTorch's own format, or another/,
  );
  t.match(await complaint({ [WEIGHTS]: '<!doctype html><html></html>' }), /holds a web page, not the file/);
  t.match(
    await complaint({ [WEIGHTS]: 'neither of these, but long' }),
    /a header of \d+ bytes goes beyond the file's/,
  );
});

test("a model's name in place of a folder", async (t) => {
  for (const name of ['own-base-uncased', 'somebody/own-base'])
    t.equal(
      await inputError(() => encoderSource(name)),
      `${name}: no such folder; if it is a model's name on the Hugging Face hub: hf download ${name} --local-dir ${name}`,
    );
  t.equal(
    await inputError(() => encoderSource('./no/such/folder')),
    './no/such/folder: no such model folder',
  );
});

test("configurations of BERT's kin", (t) => {
  const base = {
    ...{
      vocab_size: 20,
      hidden_size: 8,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      intermediate_size: 16,
    },
    max_position_embeddings: 514,
  };
  const parse = (json: object) => parseBertConfig({ ...base, ...json }, 'config.json');
  const roberta = parse({ model_type: 'roberta', type_vocab_size: 1 });
  t.deepEqual([roberta.maxPositions, roberta.positionOffset, roberta.typeVocabSize], [512, 2, 1]);
  t.equal(parse({ model_type: 'xlm-roberta', pad_token_id: 3 }).maxPositions, 510);
  t.deepEqual([parse({}).maxPositions, parse({}).positionOffset], [514, 0]);
  t.equal(parse({ model_type: 'electra' }).embeddingSize, 128, "ElectraConfig's default");
  const distil = { dim: 8, n_layers: 3, n_heads: 4, hidden_dim: 5, activation: 'relu', vocab_size: 9 };
  const found = parseBertConfig({ model_type: 'distilbert', ...distil }, 'config.json');
  t.deepEqual(
    [
      found.hiddenSize,
      found.layers,
      found.heads,
      found.intermediateSize,
      found.typeVocabSize,
      found.activation,
    ],
    [8, 3, 4, 5, 0, 'relu'],
  );
  t.throws(
    () => parseBertConfig({ model_type: 'distilbert', ...distil, n_heads: 3 }, 'config.json'),
    /"n_heads" 3 does not divide "dim" 8/,
  );
  t.throws(
    () => parse({ model_type: 'roberta', max_position_embeddings: 2 }),
    /"max_position_embeddings" must be/,
  );
  t.end();
});

const field = '../shared/field';
test('field cases', { skip: existsSync(field) ? false : `${field} is not there` }, async (t) => {
  const copy = (name: string): string => {
    const dir = join(temporaryFolder(), 'encoder');
    mkdirSync(dir);
    cpSync(join(field, name), dir, { recursive: true });
    return dir;
  };
  const whole = await read(copy('g11-weights/sharded'));
  t.equal(whole.tensors.size, 23);
  t.match(
    await inputError(() => read(copy('g11-weights/bin-only'))),
    /pytorch_model\.bin, PyTorch's; convert it/,
  );
  t.match(
    await inputError(() => read(copy('g19-lfs-pointer'))),
    /a Git LFS pointer, not the file of 438000000 bytes/,
  );
  for (const name of [
    'g12-names/qa-outputs',
    'g12-names/module-prefix',
    'g13-vocab-crlf',
    'g15-one-token-type',
  ]) {
    const { tensors, tokenizer } = await read(copy(name));
    const names = [...whole.tensors.keys()].filter((key) => !key.includes('pooler'));
    t.deepEqual(
      names.filter((key) => !tensors.has(key)),
      [],
      name,
    );
    t.equal(tokenizer.vocabSize, 372);
  }
  t.match((await read(copy('g10-casing/vocab-and-tokenizer-json'))).tokenizer.casing, /^text is lower-cased/);
  t.match(
    (await read(copy('g10-casing/no-tokenizer-config'))).tokenizer.casing,
    /no entry of the vocabulary has a cap/,
  );
});

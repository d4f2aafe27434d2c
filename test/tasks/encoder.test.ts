/** Pretrained encoders from Hugging Face folders: BERT and its kin, ALBERT, half precision, what is wrong with a file. */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { readSafetensorsFile, writeSafetensorsFile } from '../../src/io/files.ts';
import type { HostTensor } from '../../src/io/safetensors.ts';
import { parseBertConfig } from '../../src/models/bert.ts';
import { parseCeremConfig, type Cerem } from '../../src/models/cerem.ts';
import type { Json } from '../../src/models/config.ts';
import { folderSource, loadModel } from '../../src/node.ts';
import { checkpointFiles, newModel, readEncoder } from '../../src/tasks/checkpoint.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { defaultRecipe } from '../../src/tasks/training/recipe.ts';
import { inputError } from './runs.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();
const root = mkdtempSync(join(tmpdir(), 'spanwise-encoder-'));
process.on('exit', () => rmSync(root, { recursive: true, force: true }));

const fixtures = {
  albert: 'test/fixtures/albert/cerem',
  bert: 'test/fixtures/cerem/per-scale',
};
type Kind = keyof typeof fixtures;
type Tensors = Map<string, HostTensor>;

const batch = {
  ids: Int32Array.of(2, 9, 11, 3, 2, 20, 3, 0),
  lengths: Int32Array.of(4, 3),
  rows: 2,
  columns: 4,
};

/** Last hidden states of the valid pieces. */
const hidden = (model: Cerem): Promise<number[]> =>
  runtime.scope(async () => {
    const values = [...(await model.encoder.forward(batch).read())];
    const d = model.config.encoder.hiddenSize;
    return [...values.slice(0, 4 * d), ...values.slice(4 * d, 7 * d)];
  });

const configOf = (kind: Kind): { encoder: Json } & Json =>
  JSON.parse(readFileSync(`${fixtures[kind]}/config.json`, 'utf8')) as { encoder: Json };

/** The encoder's tensors of a fixture, `prefix` before each name. */
function encoderTensors(kind: Kind, prefix = ''): Tensors {
  const all = readSafetensorsFile(`${fixtures[kind]}/model.safetensors`).tensors;
  const own = [...all].filter(([name]) => name.startsWith('encoder.'));
  return new Map(own.map(([name, tensor]) => [prefix + name.slice('encoder.'.length), tensor]));
}

let folders = 0;
/** A Hugging Face folder: the fixture's config and vocabulary, and weights that `write` puts there. */
function folderOf(kind: Kind, write: (path: string) => void, config: Json = configOf(kind).encoder): string {
  const dir = mkdtempSync(join(root, `${folders++}-`));
  writeFileSync(join(dir, 'config.json'), JSON.stringify(config));
  for (const file of ['vocab.txt', 'tokenizer_config.json'])
    copyFileSync(`${fixtures[kind]}/${file}`, join(dir, file));
  write(join(dir, 'model.safetensors'));
  return dir;
}

/** A CEREM on the encoder of a folder. */
async function load(kind: Kind, dir: string): Promise<{ model: Cerem; notes: string[] }> {
  const encoder = await readEncoder(folderSource(dir), dir);
  const config = parseCeremConfig({ ...configOf(kind), encoder: encoder.json }, 'config');
  const recipe = { ...defaultRecipe(cerem.recipe), seed: 1 };
  return { model: newModel(runtime, cerem, config, recipe, encoder), notes: encoder.notes };
}

const one: HostTensor = { shape: [1], dtype: 'f32', data: new Float32Array(1) };
const heads = {
  bert: ['cls.predictions.bias', 'cls.seq_relationship.weight', 'bert.embeddings.position_ids'],
  albert: ['predictions.bias', 'predictions.decoder.weight', 'sop_classifier.classifier.weight'],
};

for (const kind of ['bert', 'albert'] as const)
  test(`${kind}: a folder with the names of a pretraining checkpoint`, async (t) => {
    const checkpoint = await loadModel(runtime, fixtures[kind], cerem);
    const expected = await hidden(checkpoint.model);
    t.ok(expected.every(Number.isFinite) && new Set(expected).size > 50);
    const tensors = encoderTensors(kind, `${kind}.`);
    for (const name of heads[kind]) tensors.set(name, one);
    const dir = folderOf(kind, (path) => writeSafetensorsFile(path, tensors));
    const { model, notes } = await load(kind, dir);
    t.deepEqual(await hidden(model), expected, 'the same numbers');
    t.deepEqual(
      notes,
      heads[kind].map((name) => `skipped ${name}: not part of the encoder`),
    );
    const pooler = [...model.parameters.all.keys()].filter((name) => name.includes('pooler'));
    t.equal(pooler.length, 2, 'the pooler is kept');
    const files = await checkpointFiles(cerem, { ...checkpoint, model });
    const stored = JSON.parse(String(files['config.json'])) as { encoder: Json };
    t.deepEqual(stored.encoder, configOf(kind).encoder, 'its config too');
    model.parameters.release();
    checkpoint.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

/** Upper halves of floats: bfloat16, by cutting. */
const brain = (values: Float32Array): Uint16Array =>
  Uint16Array.from(new Uint32Array(values.buffer, values.byteOffset, values.length), (bits) => bits >>> 16);

/** binary16 of bfloat16 numbers: exact, but 0 below 2^-14. */
const half = (values: Float32Array): Uint16Array =>
  brain(values).map((bits) => {
    const exponent = ((bits >> 7) & 0xff) - 112;
    return exponent <= 0 ? 0 : (bits & 0x8000) | (exponent << 10) | ((bits & 0x7f) << 3);
  });

/** The numbers that both formats hold. */
const rounded = (values: Float32Array): Float32Array =>
  new Float32Array(
    Uint32Array.from(brain(values), (bits) => (((bits >> 7) & 0xff) <= 112 ? 0 : bits << 16)).buffer,
  );

/** A safetensors file of 2-byte floats. */
function writeNarrow(
  path: string,
  dtype: 'F16' | 'BF16',
  tensors: Tensors,
  narrow: (values: Float32Array) => Uint16Array,
): void {
  let end = 0;
  const header: Record<string, unknown> = {};
  const data = [...tensors].map(([name, tensor]) => {
    const bytes = Buffer.from(narrow(tensor.data as Float32Array).buffer);
    header[name] = { dtype, shape: tensor.shape, data_offsets: [end, (end += bytes.length)] };
    return bytes;
  });
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  writeFileSync(path, Buffer.concat([length, text, ...data]));
}

test('half precision is widened', async (t) => {
  const tensors = encoderTensors('albert');
  const wide: Tensors = new Map(
    [...tensors].map(([name, tensor]) => [name, { ...tensor, data: rounded(tensor.data as Float32Array) }]),
  );
  const runs: Record<string, (path: string) => void> = {
    F32: (path) => writeSafetensorsFile(path, wide),
    F16: (path) => writeNarrow(path, 'F16', wide, half),
    BF16: (path) => writeNarrow(path, 'BF16', wide, brain),
  };
  const found: number[][] = [];
  for (const write of Object.values(runs)) {
    const { model } = await load('albert', folderOf('albert', write));
    found.push(await hidden(model));
    model.parameters.release();
  }
  t.ok(found[0].every(Number.isFinite));
  t.deepEqual(found[1], found[0], 'F16');
  t.deepEqual(found[2], found[0], 'BF16');
});

test('what is wrong with a file is said in one line', async (t) => {
  const tensors = encoderTensors('albert');
  const layer = 'encoder.albert_layer_groups.0.albert_layers.0';
  const [widen, ffn] = ['encoder.embedding_hidden_mapping_in.weight', `${layer}.ffn.bias`];
  const { data } = tensors.get(widen) as HostTensor;
  tensors.set(widen, { shape: [6, 16], dtype: 'f32', data });
  tensors.delete(ffn);
  tensors.set('encoder.albert_layer_groups.1.albert_layers.0.ffn.bias', one);
  const dir = folderOf('albert', (path) => writeSafetensorsFile(path, tensors));
  t.equal(
    await inputError(() => load('albert', dir)),
    `${join(dir, 'model.safetensors')}: encoder.${widen} is [6,16], expected [16,6]; missing encoder.${ffn} [32]; ` +
      'surplus encoder.encoder.albert_layer_groups.1.albert_layers.0.ffn.bias',
  );
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');

  const asBert = { ...configOf('albert').encoder, model_type: 'bert' };
  const other = folderOf('albert', (path) => writeSafetensorsFile(path, encoderTensors('albert')), asBert);
  t.match(
    await inputError(() => load('albert', other)),
    /missing encoder\.encoder\.layer\.0\.attention\.self\.query\.weight/,
  );
});

test('configurations of ALBERT and of RoBERTa-wwm', (t) => {
  const parse = (change: Json, kind: Kind = 'albert') =>
    parseBertConfig({ ...configOf(kind).encoder, ...change }, 'config.json');
  const albert = parse({ hidden_act: undefined, embedding_size: undefined });
  t.deepEqual([albert.activation, albert.embeddingSize], ['gelu_tanh', 128], "AlbertConfig's defaults");
  t.equal(parse({ hidden_act: 'gelu' }).activation, 'gelu', 'exact where the config says so');
  t.equal(parse({ num_hidden_groups: undefined, inner_group_num: undefined }).embeddingSize, 6);
  const plain = parse({ embedding_size: 3 }, 'bert');
  t.equal(plain.embeddingSize, plain.hiddenSize, 'BERT has one size');
  // As hfl/chinese-roberta-wwm-ext says it: BERT with other training.
  const wwm = parse({ architectures: ['BertForMaskedLM'], directionality: 'bidi', pooler_type: 'x' }, 'bert');
  t.deepEqual([wwm.architecture, wwm.activation], ['bert', 'gelu']);
  const wrong: [Json, RegExp][] = [
    [{ num_hidden_groups: 2 }, /^InputError: config\.json: "num_hidden_groups" must be 1: .*; it is 2$/],
    [{ inner_group_num: 4 }, /"inner_group_num" must be 1: one layer shared by all; it is 4$/],
    [{ embedding_size: 0 }, /"embedding_size" must be an integer of at least 1/],
    [{ model_type: 'deberta' }, /"model_type" must be one of bert, albert, roberta, .*; it is "deberta"/],
  ];
  for (const [change, message] of wrong) t.throws(() => parse(change), message);
  t.end();
});

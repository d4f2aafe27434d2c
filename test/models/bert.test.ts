/** BERT: configurations, tensor names, the shape of what it computes; its numbers are compared through STSN's. */
import { existsSync, readFileSync } from 'node:fs';
import test from 'tape';
import {
  Bert,
  FileSource,
  InputError,
  mapBertNames,
  Parameters,
  parseBertConfig,
  parseSafetensors,
  randomSource,
  record,
  sum,
  type HostTensor,
  type PieceBatch,
} from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const json = {
  vocab_size: 11,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 12,
  max_position_embeddings: 9,
};

const batch = {
  ids: Int32Array.of(1, 2, 3, 4, 5, 0),
  lengths: Int32Array.of(3, 2),
  rows: 2,
  columns: 3,
};

/** The tensors of a random model under Hugging Face's names. */
async function tensorsOf(config = json, pooler = false): Promise<Map<string, HostTensor>> {
  const parameters = new Parameters(runtime, randomSource(5));
  new Bert(parameters, parseBertConfig(config, 'config.json'), pooler);
  const tensors = await parameters.read();
  parameters.release();
  return tensors;
}

/** Last hidden state of a model with these tensors. */
async function run(
  tensors: ReadonlyMap<string, HostTensor>,
  config = json,
  pooler = false,
): Promise<number[]> {
  return runtime.scope(async () => {
    const source = new FileSource(tensors, 'model.safetensors');
    const parameters = new Parameters(runtime, source);
    const bert = new Bert(parameters, parseBertConfig(config, 'config.json'), pooler);
    try {
      source.finish();
      return [...(await bert.forward(batch).read())];
    } finally {
      parameters.release();
    }
  });
}

test('configurations', (t) => {
  const parse = (change: Record<string, unknown>) => () => parseBertConfig({ ...json, ...change }, 'c.json');
  const config = parse({ unknown_key: 1 })();
  t.equal(config.layerNormEps, 1e-12);
  t.equal(config.typeVocabSize, 2);
  t.equal(config.activation, 'gelu');
  t.equal(config.json.unknown_key, 1, 'unknown keys are kept');
  t.equal(parse({ num_hidden_layers: 0 })().layers, 0, 'an encoder of embeddings alone');
  const wrong: [change: Record<string, unknown>, words: RegExp][] = [
    [{ hidden_size: undefined }, /c.json: "hidden_size" must be an integer of at least 1; it is missing$/],
    [{ hidden_size: '8' }, /"hidden_size" .* it is "8"/],
    [{ vocab_size: 0 }, /"vocab_size"/],
    [{ num_hidden_layers: -1 }, /"num_hidden_layers" must be an integer of at least 0; it is -1/],
    [{ num_hidden_layers: 1.5 }, /"num_hidden_layers"/],
    [{ num_attention_heads: 3 }, /"num_attention_heads" 3 does not divide "hidden_size" 8/],
    [{ num_attention_heads: 0 }, /"num_attention_heads"/],
    [{ hidden_act: 'swish' }, /"hidden_act" must be one of gelu, .*relu; it is "swish"/],
    [{ position_embedding_type: 'relative_key' }, /"position_embedding_type" must be one of absolute/],
    [{ model_type: 'deberta' }, /"model_type" must be one of bert/],
    [{ layer_norm_eps: 2 }, /"layer_norm_eps"/],
  ];
  for (const [change, words] of wrong) {
    t.throws(parse(change), InputError, JSON.stringify(change));
    t.throws(parse(change), words);
  }
  t.end();
});

test('with a visibility a text depends on what it sees alone, at the positions that are given', async (t) => {
  const tensors = await tensorsOf({ ...json, num_hidden_layers: 2 });
  const parameters = new Parameters(runtime, new FileSource(tensors, 'model.safetensors'));
  const bert = new Bert(parameters, parseBertConfig({ ...json, num_hidden_layers: 2 }, 'config.json'));
  const hidden = (changes: Partial<PieceBatch>) =>
    runtime.scope(async () => [...(await bert.forward({ ...batch, ...changes }).read())]);
  const row = (values: number[], at: number) => values.slice(8 * at, 8 * at + 8);
  const close = (a: number[], b: number[]) => a.every((x, i) => Math.abs(x - b[i]) < 1e-5);

  const kinds = Int32Array.of(0, 0, 1, 0, 1, 7);
  const groups = new Int32Array(6).fill(-1);
  const plain = await hidden({});
  const all = await hidden({ visibility: { sees: [3, 3], kinds, groups } });
  t.ok(
    [0, 1, 2, 3, 4].every((at) => close(row(all, at), row(plain, at))),
    'all see all: as without',
  );
  const apart = { sees: [1, 2], kinds, groups };
  const first = await hidden({ visibility: apart });
  const other = await hidden({ ids: Int32Array.of(1, 2, 9, 4, 9, 0), visibility: apart });
  t.deepEqual(row(other, 0), row(first, 0), 'what is not seen does not matter');
  t.notDeepEqual(row(other, 2), row(first, 2));
  t.notOk(close(row(first, 0), row(plain, 0)));
  const joined = await hidden({ visibility: { ...apart, groups: Int32Array.of(5, -1, 5, -1, -1, 5) } });
  t.notOk(close(row(joined, 0), row(first, 0)), 'a group joins kinds apart');
  const moved = await hidden({ visibility: apart, positions: Int32Array.of(0, 8, 2, 0, 1, 0) });
  t.notOk(close(row(moved, 0), row(first, 0)), 'positions count');
  t.deepEqual(row(moved, 2), row(first, 2));
  parameters.release();
});

test('names with a prefix, without, with gamma and beta', async (t) => {
  const tensors = await tensorsOf();
  const expected = await run(tensors);
  t.equal(expected.length, 2 * 3 * 8);
  t.ok(expected.every(Number.isFinite));
  const renamed = (rename: (name: string) => string) =>
    new Map([...tensors].map(([name, tensor]) => [rename(name), tensor]));
  const variants = {
    plain: renamed((name) => name),
    prefixed: renamed((name) => `bert.${name}`),
    'gamma and beta': renamed((name) =>
      name.replace(/LayerNorm\.weight$/, 'LayerNorm.gamma').replace(/LayerNorm\.bias$/, 'LayerNorm.beta'),
    ),
  };
  for (const [name, variant] of Object.entries(variants)) {
    const { tensors: mapped, notes } = mapBertNames(variant);
    t.deepEqual([...mapped.keys()], [...tensors.keys()], name);
    t.deepEqual(notes, []);
    t.deepEqual(await run(mapped), expected, `${name}: the same output`);
  }
  t.ok([...mapBertNames(tensors, 'encoder.').tensors.keys()].every((name) => name.startsWith('encoder.')));
  t.throws(
    () => mapBertNames(new Map([...variants.plain, ...variants.prefixed])),
    /two tensors are named embeddings.word_embeddings.weight \(one as bert.embeddings/,
  );
});

test('heads of other tasks are skipped with a note', async (t) => {
  const tensors = await tensorsOf();
  const tensor: HostTensor = { shape: [1], dtype: 'f32', data: new Float32Array(1) };
  const skipped = ['cls.predictions.bias', 'classifier.weight', 'bert.embeddings.position_ids'];
  const { tensors: mapped, notes } = mapBertNames(
    new Map([...tensors, ...skipped.map((name): [string, HostTensor] => [name, tensor])]),
  );
  t.deepEqual([...mapped.keys()], [...tensors.keys()]);
  t.deepEqual(
    notes,
    skipped.map((name) => `skipped ${name}: not part of the encoder`),
  );
});

test('missing, surplus and mis-shaped tensors are listed in one error', async (t) => {
  const tensors = await tensorsOf();
  const word = tensors.get('embeddings.word_embeddings.weight') as HostTensor;
  tensors.set('embeddings.word_embeddings.weight', { ...word, shape: [8, 11] });
  tensors.delete('encoder.layer.0.output.dense.bias');
  tensors.set('encoder.layer.1.output.dense.bias', word);
  tensors.set('embeddings.LayerNorm.bias', { shape: [8], dtype: 'i32', data: new Int32Array(8) });
  const before = runtime.memory.report().liveBytes;
  await run(tensors).then(
    () => t.fail('must be refused'),
    (error: Error) => {
      t.ok(error instanceof InputError);
      for (const words of [
        'model.safetensors: ',
        'embeddings.word_embeddings.weight is [8,11], expected [11,8]',
        'missing encoder.layer.0.output.dense.bias [8]',
        'surplus encoder.layer.1.output.dense.bias',
        'embeddings.LayerNorm.bias holds integers',
      ])
        t.ok(error.message.includes(words), words);
      t.notOk(error.message.includes('\n'), 'on one line');
    },
  );
  t.equal(runtime.memory.report().liveBytes, before);
});

test('a pooler is kept where there is one', async (t) => {
  const tensors = await tensorsOf(json, true);
  t.ok(tensors.has('pooler.dense.weight'));
  t.deepEqual(await run(tensors, json, true), await run(await tensorsOf()), 'and changes nothing');
});

test('odd sizes: no layers, one head, one piece', async (t) => {
  const none = { ...json, num_hidden_layers: 0 };
  const embedded = await run(await tensorsOf(none), none);
  t.ok(embedded.every(Number.isFinite) && embedded.length === 48);
  for (let row = 0; row < 6; row++) {
    const values = embedded.slice(8 * row, 8 * row + 8);
    const mean = values.reduce((a, b) => a + b, 0) / 8;
    t.ok(Math.abs(mean) < 1e-5, 'the embeddings are normalised');
  }
  const tiny = { ...json, hidden_size: 1, num_attention_heads: 1, intermediate_size: 1, vocab_size: 6 };
  t.ok(
    (await run(await tensorsOf(tiny), tiny)).every((v) => v === 0),
    'one column: LayerNorm leaves its bias',
  );
});

test('padding, positions and token types', async (t) => {
  const parameters = new Parameters(runtime, randomSource(5));
  const bert = new Bert(parameters, parseBertConfig(json, 'config.json'));
  await runtime.scope(async () => {
    const read = async (change: object) => [...(await bert.forward({ ...batch, ...change }).read())];
    const plain = await read({});
    const valid = plain.slice(0, 5 * 8);
    t.deepEqual(
      (await read({ ids: Int32Array.of(1, 2, 3, 4, 5, 9) })).slice(0, 40),
      valid,
      'padding is masked',
    );
    t.deepEqual(
      await read({ positions: Int32Array.of(0, 1, 2, 0, 1, 2) }),
      plain,
      'the same positions, given',
    );
    t.deepEqual(await read({ tokenTypes: new Int32Array(6) }), plain);
    t.notDeepEqual(await read({ positions: Int32Array.of(8, 1, 2, 0, 1, 2) }), plain);
    t.notDeepEqual(await read({ tokenTypes: Int32Array.of(1, 0, 0, 0, 0, 0) }), plain);
    const wide = { ids: new Int32Array(10), lengths: Int32Array.of(10), rows: 1, columns: 10 };
    t.throws(() => bert.forward(wide), /a row of 10 pieces exceeds max_position_embeddings 9/);
    const given = new Int32Array(10);
    t.equal(
      (await bert.forward({ ...wide, positions: given }).read()).length,
      80,
      'unless positions are given',
    );
    for (const change of [
      { ids: batch.ids.map((id) => id + 7) },
      { positions: batch.ids.map((id) => id + 5) },
    ])
      t.throws(() => bert.forward({ ...batch, ...change }), InputError, 'an index outside its table');
  });
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('every parameter but the pooler has a gradient', async (t) => {
  const parameters = new Parameters(runtime, randomSource(5));
  const bert = new Bert(parameters, parseBertConfig(json, 'config.json'), true);
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () => sum(bert.forward(batch)));
    tape.backward(result);
    await runtime.finish();
  });
  const without = [...parameters.all].filter(([, { tensor }]) => !tensor.grad).map(([name]) => name);
  t.deepEqual(without, ['pooler.dense.weight', 'pooler.dense.bias']);
  t.deepEqual(
    [...parameters.all].filter(([name, { decay }]) => decay === /LayerNorm|bias$/.test(name)),
    [],
    'weight decay on all but biases and norms',
  );
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

const folder = '../shared/data/checkpoints/tiny-bert-ner';
test(
  'a checkpoint of Hugging Face loads',
  { skip: existsSync(folder) ? false : `${folder} is not there` },
  async (t) => {
    const config = JSON.parse(readFileSync(`${folder}/config.json`, 'utf8'));
    const file = parseSafetensors(readFileSync(`${folder}/model.safetensors`), 'model.safetensors');
    const { tensors, notes } = mapBertNames(file.tensors);
    t.deepEqual(notes.map((note) => note.split(':')[0]).sort(), [
      'skipped classifier.bias',
      'skipped classifier.weight',
    ]);
    const pooler = tensors.has('pooler.dense.weight');
    const values = await run(tensors, config, pooler);
    t.equal(values.length, 6 * config.hidden_size);
    t.ok(values.every(Number.isFinite));
  },
);

test('BERT: positions and types of batches of one shape after another', async (t) => {
  const parameters = new Parameters(runtime, randomSource(5));
  const bert = new Bert(parameters, parseBertConfig({ ...json, type_vocab_size: 2 }, 'config.json'));
  for (const [rows, columns] of [
    [2, 3],
    [2, 3],
    [3, 2],
    [1, 2],
    [1, 3],
    [3, 2],
  ]) {
    const ids = Int32Array.from({ length: rows * columns }, (_, i) => i);
    const own = { ids, lengths: new Int32Array(rows).fill(columns), rows, columns };
    const positions = ids.map((i) => i % columns);
    const told = { ...own, positions, tokenTypes: new Int32Array(ids.length) };
    const [found, expected] = await runtime.scope(() =>
      runtime.readAll([own, told].map((batch) => bert.forward(batch))),
    );
    t.deepEqual(found, expected, `[${rows}, ${columns}]`);
  }
  parameters.release();
});

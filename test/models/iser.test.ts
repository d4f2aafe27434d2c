/** Tiny ISERs against PyTorch (test/fixtures/iser): logits, losses, every gradient, parameters after AdamW steps. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { configJson, type Json } from '../../src/models/config.ts';
import { Iser, parseIserConfig } from '../../src/models/iser.ts';
import { inGroups } from '../../src/models/span-rows.ts';
import { Parameters, randomSource } from '../../src/nn/parameters.ts';
import { folderSource } from '../../src/tasks/folder.ts';
import { loadModel } from '../../src/tasks/model.ts';
import { makeWordBatch } from '../../src/tasks/spans/batch.ts';
import { enumerateSpans } from '../../src/tasks/spans/enumerate.ts';
import { iser } from '../../src/tasks/spans/iser.ts';
import { relativeError } from '../relative-error.ts';
import { checkParity, fixtureSteps } from './parity.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const folder = 'test/fixtures/iser';
const batchFile = `${folder}/batch.json`;

const checkpoints = [
  ...['full', 'no-fusion', 'plain', 'span-gru', 'span-cls'],
  ...['local-attention', 'local-bert', 'cls', 'global-bert', 'global'].map((name) => `relation-${name}`),
];
for (const name of checkpoints)
  test(`iser/${name} agrees with PyTorch`, async (t) => {
    const dir = `${folder}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const model = await loadModel(runtime, folderSource(dir), iser, undefined, dir);
    const batch = readFileSync(batchFile, 'utf8');
    checkParity(t, await model.trace(batch, batchFile, fixtureSteps(expected)), expected, initial);
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

const small = {
  model: 'iser',
  encoder: {
    ...{ vocab_size: 30, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ intermediate_size: 8, max_position_embeddings: 32 },
  },
  ...{ heads: 4, maxSpanWidth: 3, widthEmbeddingSize: 2 },
  ...{ entityTypes: ['A', 'B'], relationTypes: ['R'] },
};
const build = (config: Json, seed = 1) =>
  new Iser(new Parameters(runtime, randomSource(seed)), parseIserConfig({ ...small, ...config }, 'config'));

/** Sentences of these lengths, one piece a word. */
const batchOf = (...lengths: number[]) =>
  makeWordBatch(
    lengths.map((length, b) => ({
      ids: Int32Array.from({ length: length + 2 }, (_, i) => (7 * i + 3 * b) % 30),
      words: Int32Array.from({ length: 2 * length }, (_, i) => 1 + Math.ceil(i / 2)),
    })),
    0,
  );

test('a span’s logits depend on nothing around it in the batch', async (t) => {
  const lengths = [5, 2, 7, 5, 1, 2];
  for (const config of [{}, { spanContext: 'gru' }, { spanContext: 'cls', fusion: false }]) {
    const model = build(config);
    await runtime.scope(async () => {
      const together = batchOf(...lengths);
      const spans = enumerateSpans(lengths, 3);
      const all = await model.spanLogits(model.states(together), spans).read();
      const backwards = Array.from({ length: spans.length / 3 }, (_, s) => [
        ...spans.slice(3 * s, 3 * s + 3),
      ]);
      const reversed = Int32Array.from(backwards.reverse().flat());
      const turned = await model.spanLogits(model.states(together), reversed).read();
      const rows = (values: Float32Array) =>
        Array.from({ length: values.length / 3 }, (_, s) => values.slice(3 * s, 3 * s + 3));
      const error = relativeError(
        rows(turned)
          .reverse()
          .flatMap((row) => [...row]),
        all,
      );
      t.ok(error < 1e-6, `${JSON.stringify(config)}: any order of spans, ${error}`);
      const only = await model.spanLogits(model.states(together), Int32Array.of(2, 1, 3)).read();
      const row = spans.findIndex(
        (b, i) => i % 3 === 0 && b === 2 && spans[i + 1] === 1 && spans[i + 2] === 3,
      );
      t.ok(relativeError(only, all.slice(row, row + 3)) < 1e-6, 'one alone');
      const none = model.spanLogits(model.states(together), new Int32Array());
      t.deepEqual(none.shape, [0, 3], 'none');
    });
    model.parameters.release();
  }
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('groups of rows are of one length, as large as a binding, and come back in order', async (t) => {
  const lengths = [3, 1, 3, 3, 0, 1, 3, 2, 9, 5, 4];
  const groups: number[][] = [];
  await runtime.scope(async () => {
    const rows = inGroups(
      runtime,
      lengths.length,
      (row) => lengths[row],
      2 ** 27 / 4 / 6,
      (chosen, length) => {
        groups.push(chosen);
        t.ok(chosen.every((row) => lengths[row] === length));
        return runtime.upload(Float32Array.from(chosen), [chosen.length, 1]);
      },
    );
    t.deepEqual([...(await rows.read())], [...lengths.keys()], 'in order');
  });
  t.deepEqual(groups, [[0, 2], [3, 6], [1, 5], [4], [7], [8], [9], [10]]);
});

test('an ISER starts with equal maps for entities and relations where it fuses them', async (t) => {
  for (const fusion of [true, false]) {
    const model = build({ fusion });
    const read = async (name: string) => (await model.parameters.read()).get(name)?.data;
    const [entity, relation] = [await read('entity_ffn.weight'), await read('relation_ffn.weight')];
    (fusion ? t.deepEqual : t.notDeepEqual)(entity, relation, `fusion ${fusion}`);
    model.parameters.release();
  }
  const model = build({});
  const decayed = [...model.parameters.all].filter(([, { decay }]) => decay).map(([name]) => name);
  t.notOk(
    decayed.some((name) => /bias|norm/i.test(name)),
    'no bias decays',
  );
  const expected = readSafetensorsFile(`${folder}/no-fusion/model.safetensors`).tensors;
  t.ok(
    [...expected.keys()].every((name) => model.parameters.all.has(name)),
    'the names of the fixtures',
  );
  model.parameters.release();
  t.end();
});

test('bad configurations of ISER', (t) => {
  const parse = (config: Json) => () => parseIserConfig({ ...small, ...config }, 'c.json');
  t.throws(parse({ heads: 3 }), /^InputError: c.json: "heads" 3 does not divide hidden_size 8$/);
  t.doesNotThrow(parse({ heads: 3, spanContext: 'cls' }), 'heads are unused');
  t.throws(
    parse({ encoder: { ...small.encoder, hidden_size: 9, num_attention_heads: 3 } }),
    /c.json: hidden_size 9 is odd/,
  );
  t.throws(parse({ spanContext: 'lstm' }), /c.json: "spanContext" must be one of sea, gru, cls/);
  t.throws(parse({ relationContext: 'none' }), /"relationContext" must be one of local, local-attention/);
  t.throws(parse({ layers: 2 }), /c.json: unknown key "layers"/);
  const config = parseIserConfig(small, 'c.json');
  t.deepEqual(parseIserConfig(configJson('iser', config), 'c.json'), config, 'a config comes back');
  t.end();
});

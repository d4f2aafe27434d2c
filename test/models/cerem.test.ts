/** A tiny CEREM against PyTorch (test/fixtures/cerem): logits, losses, every gradient, parameters after AdamW steps. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { ceremBase, countParameters, parseCeremConfig } from '../../src/models/cerem.ts';
import { configJson, type Json } from '../../src/models/config.ts';
import { SegmentInformationAttention } from '../../src/models/segment-information-attention.ts';
import { Parameters, randomSource } from '../../src/nn/parameters.ts';
import { loadModel } from '../../src/node.ts';
import { encodeText, makePromptBatch, parsePromptedJson } from '../../src/tasks/prompts/batch.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { newModel } from '../../src/tasks/checkpoint.ts';
import { defaultRecipe } from '../../src/tasks/training/recipe.ts';
import { relativeError } from '../relative-error.ts';
import { inputError } from '../tasks/runs.ts';
import { checkParity, fixtureSteps } from './parity.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

const folder = 'test/fixtures/cerem';
const batchFile = `${folder}/batch.json`;
const batchText = readFileSync(batchFile, 'utf8');
const texts = parsePromptedJson(batchText, batchFile);

const checkpoints = [
  ...['per-scale', 'shared-global', 'shared-per-head', 'shared-gated'],
  ...['no-sia', 'no-branches', 'baseline', '../albert/cerem'],
  ...['../encoders/roberta', '../encoders/electra', '../encoders/distilbert'],
];
for (const name of checkpoints)
  test(`CEREM ${name} agrees with PyTorch`, async (t) => {
    const dir = `${folder}/${name}`;
    const expected = readSafetensorsFile(`${dir}/expected.safetensors`).tensors;
    const initial = readSafetensorsFile(`${dir}/model.safetensors`).tensors;
    const model = await loadModel(runtime, dir, cerem);
    const actual = await model.trace(batchText, batchFile, fixtureSteps(expected));
    checkParity(t, actual, expected, initial);
    const { data: logits } = actual.get('start_logits') ?? { data: [] };
    const padding = [...(expected.get('start_logits')?.data ?? [])].flatMap((v, i) => (v === 0 ? [i] : []));
    t.ok(padding.length > 0 && padding.every((i) => logits[i] === 0), 'the logits of padding are exactly 0');
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

test('CEREM: pieces of prompts and texts, token types, lengths', async (t) => {
  const { model, tokenizer } = await loadModel(runtime, `${folder}/baseline`, cerem);
  const expected = JSON.parse(readFileSync(`${folder}/pieces.json`, 'utf8')) as [
    number,
    number,
    number,
  ][][][];
  const encoded = texts.map((text) => encodeText(text, tokenizer, model.config, batchFile));
  encoded.forEach(({ ids, textStart, pieces }, b) => {
    const [prompt, text] = expected[b];
    t.deepEqual(
      pieces.map(({ id, start, end }) => [id, start, end]),
      text,
      `row ${b}: the text's pieces`,
    );
    const { clsId, sepId } = tokenizer;
    const of = (list: typeof prompt) => list.map(([id]) => id);
    t.deepEqual([...ids], [clsId, ...of(prompt), sepId, ...of(text), sepId], `row ${b}: the input`);
    t.equal(textStart, prompt.length + 2);
  });
  const batch = makePromptBatch(encoded.slice(0, 2), tokenizer.padId);
  t.deepEqual(
    [...batch.lengths],
    encoded.slice(0, 2).map(({ ids }) => ids.length),
  );
  const second = [...(batch.tokenTypes ?? [])].slice(batch.columns);
  t.deepEqual(second, [0, 0, 0, 1, 1, ...Array<number>(batch.columns - 5).fill(0)], 'types of a short row');
  model.parameters.release();
});

test("CEREM: parameters as the paper's Table 6 counts them", (t) => {
  const count = (sia: boolean, branches: boolean) => countParameters({ ...ceremBase, sia, branches });
  const baseline = count(false, false);
  t.equal(baseline, 85_646_594);
  t.equal(count(true, true), 117_157_646);
  // The paper's millions are rounded, and its last row adds rounded parts.
  const paper: [number, number, string][] = [
    [baseline, 85.65, 'baseline'],
    [count(false, true) - baseline, 6.3, 'branches'],
    [count(true, false) - baseline, 15.76, 'segment attention'],
    [count(true, true), 117.17, 'both'],
  ];
  for (const [ours, millions, what] of paper)
    t.ok(Math.abs(ours / 1e6 - millions) < 0.02, `${what}: ${ours} for ${millions}M`);
  t.end();
});

test('CEREM: inference holds no more than it is working with', async (t) => {
  const [tokens, size, inner] = [64, 64, 128];
  const encoder = { ...ceremBase.encoder.json, vocab_size: 50, hidden_size: size, num_attention_heads: 4 };
  const peakOf = async (layers: number, more: Json): Promise<number> => {
    const json = { ...configJson('cerem', ceremBase), headSize: inner / 8, ...more };
    const of = { ...encoder, num_hidden_layers: layers, intermediate_size: 2 * size };
    const config = parseCeremConfig({ ...json, encoder: of }, 'mid-size');
    const model = cerem.build(new Parameters(runtime, randomSource(1)), config, { pooler: false });
    const batch = { ids: new Int32Array(tokens), lengths: Int32Array.of(tokens), rows: 1, columns: tokens };
    model.parameters.place();
    await runtime.finish();
    runtime.memory.resetPeak();
    const before = runtime.memory.report().liveBytes;
    const { start, end } = model.forward(batch);
    const { peakBytes, liveBytes } = runtime.memory.report();
    t.equal(liveBytes - before, 2 * 4 * tokens, 'the logits alone are left');
    for (const logits of [start, end]) t.ok((await logits.read()).every(Number.isFinite));
    start.release();
    end.release();
    model.parameters.release();
    return peakBytes - before;
  };
  const plain = { sia: false, branches: false };
  const deep = await peakOf(6, plain);
  t.equal(deep, await peakOf(1, plain), 'six layers need no more than one');
  t.ok(deep <= 10 * 4 * tokens * size, `${deep} bytes are at most ten tensors of one layer`);
  const full = await peakOf(6, {});
  t.ok(full - (await peakOf(6, { branches: false })) <= 4 * tokens, 'nor two branches than one');
  // q, k, v and the result of all scales, and four of that size that the kernel works in.
  const stacked = 4 * tokens * ceremBase.scales.length * inner;
  t.ok(full <= 9 * stacked, `${full} bytes are at most nine times the queries of all scales`);
});

test('CEREM: what is counted is what a model holds', async (t) => {
  for (const name of ['per-scale', 'shared-global', 'shared-per-head', 'shared-gated', 'no-sia']) {
    const loaded = await loadModel(runtime, `${folder}/${name}`, cerem);
    const { config, parameters } = loaded.model;
    const pooler = config.encoder.hiddenSize * (config.encoder.hiddenSize + 1);
    let embeddings = 0;
    for (const [key, { tensor }] of parameters.all)
      if (key.startsWith('encoder.embeddings.')) embeddings += tensor.size;
    const held = parameters.all.has('encoder.pooler.dense.weight') ? 0 : pooler;
    t.equal(countParameters(config), parameters.count() - embeddings + held, name);
    const files = await loaded.files();
    t.deepEqual(parseCeremConfig(JSON.parse(files['config.json'] as string) as Json, 'again'), config);
    parameters.release();
  }
});

test('CEREM: where the weights over the scales start', async (t) => {
  const config = parseCeremConfig({ ...tiny(), scales: [2, 3, 4, 5, 6] }, 'tiny');
  const model = newModel(runtime, cerem, config, { ...defaultRecipe(cerem.recipe), seed: 1 });
  const values = await model.parameters.all.get('end.mix.weight')?.tensor.read();
  t.deepEqual([...(values ?? [])], Array<number>(6).fill(Math.fround(1 / 6)));
  model.parameters.release();
});

test('Segment Information Attention behind any encoder output', async (t) => {
  for (const projections of ['per-scale', 'shared'] as const)
    await runtime.scope(async () => {
      const parameters = new Parameters(runtime, randomSource(3));
      const config = { scales: [2, 4], heads: 2, headSize: 3, projections, mix: 'global' } as const;
      const sia = new SegmentInformationAttention(parameters, 5, config);
      const row = Float32Array.from({ length: 15 }, (_, i) => Math.sin(i));
      const x = new Float32Array(40).fill(NaN);
      x.set(row);
      x.set(row, 20);
      const out = sia.forward(runtime.upload(x, [2, 4, 5]), Int32Array.of(3, 3));
      t.deepEqual(out.shape, [2, 4, 5], `${projections}: the shape stays`);
      const alone = await sia.forward(runtime.upload(row, [1, 3, 5]), Int32Array.of(3)).read();
      const padded = await out.read();
      for (const start of [0, 20])
        t.ok(
          relativeError(padded.subarray(start, start + 15), alone) < 1e-6,
          `${projections}: padding, NaN included, changes nothing`,
        );
      parameters.release();
    });
});

/** A config of the smallest kind. */
const tiny = (): Record<string, unknown> => ({
  model: 'cerem',
  scales: [2],
  heads: 1,
  headSize: 2,
  encoder: {
    ...ceremBase.encoder.json,
    ...{ vocab_size: 9, hidden_size: 4, num_attention_heads: 2 },
    ...{ num_hidden_layers: 1, intermediate_size: 4, max_position_embeddings: 16 },
  },
});

test('CEREM configs', (t) => {
  const parse = (more: Record<string, unknown>) => parseCeremConfig({ ...tiny(), ...more }, 'c.json');
  const plain = parse({});
  t.deepEqual(
    [plain.projections, plain.mix, plain.threshold, plain.maxLength, plain.sia, plain.branches],
    ['per-scale', 'global', 0.5, 16, true, true],
    'defaults',
  );
  t.deepEqual(parseCeremConfig(configJson('cerem', plain), 'again'), plain);
  t.doesNotThrow(() => parse({ sia: false, branches: false, scales: undefined, heads: undefined }));
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ scales: [] }, /^InputError: c\.json: "scales" must be a list of integers/],
    [{ scales: [2, 2] }, /"scales" must not repeat/],
    [{ scales: [0] }, /"scales" must be a list of integers of at least 1/],
    [{ scales: undefined }, /"scales" .* is missing/],
    [{ headSize: undefined, sia: false }, /"headSize" .* is missing/],
    [{ mix: 'gated' }, /^InputError: c\.json: "mix" gated needs "projections" shared$/],
    [{ mix: 'local' }, /"mix" must be one of global, per-head, gated/],
    [{ maxLength: 17 }, /"maxLength" 17 exceeds max_position_embeddings 16/],
    [{ threshold: 2 }, /"threshold" must be a number between 0 and 1/],
    [{ heds: 8 }, /unknown key "heds"/],
    [{ model: 'stsn' }, /"model" must be one of cerem/],
  ];
  for (const [more, message] of wrong) t.throws(() => parse(more), message, JSON.stringify(more));
  t.end();
});

test('CEREM batches: bad input is named', async (t) => {
  const row = { prompt: '人物', text: '小林写信。', spans: [[0, 2]] };
  const parse = (...rows: unknown[]) => parsePromptedJson(JSON.stringify(rows), 'b.json');
  t.deepEqual(parse(row), [row]);
  const wrong: [unknown[], RegExp][] = [
    [[], /^InputError: b\.json: holds no prompted text$/],
    [[row, 3], /b\.json: row 2: .*not an object/],
    [[{ ...row, prompt: undefined }], /row 1: prompt is missing/],
    [[{ ...row, text: 7 }], /row 1: text is 7, not a string/],
    [[{ ...row, spans: undefined }], /row 1: spans is missing/],
    [[{ ...row, spans: [[0, 6]] }], /row 1: spans\[0\] is \[0, 6\), not a part of the text of 5/],
    [
      [
        {
          ...row,
          spans: [
            [0, 1],
            [2, 2],
          ],
        },
      ],
      /row 1: spans\[1\] is \[2, 2\)/,
    ],
    [[{ ...row, spans: [[0, 1.5]] }], /row 1: spans\[0\] is not a pair of integers/],
    [[{ ...row, spans: [3] }], /row 1: spans\[0\] is not a pair of integers/],
  ];
  for (const [rows, message] of wrong) t.throws(() => parse(...rows), message);
  t.throws(() => parsePromptedJson('[{', 'b.json'), /b\.json: line 1: not JSON/);

  const model = await loadModel(runtime, `${folder}/baseline`, cerem);
  const trace = (given: Partial<typeof row>): Promise<string> =>
    inputError(() => model.trace(JSON.stringify([{ ...row, ...given }]), 'b.json'));
  const blank = await trace({ text: '小 林', spans: [[1, 2]] });
  t.match(blank, /b\.json: row 1: spans\[0\] \[1, 2\) covers no word piece/);
  const long = await trace({ text: '林'.repeat(56) });
  t.match(long, /row 1: .* make 61 word pieces.* maxLength 60/);
  model.release();
});

/** Segment Information Attention plugged into STSN: its configuration, training, checkpoints. Numbers: test/models. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { configJson, type Json } from '../../../src/models/config.ts';
import { parseStsnConfig } from '../../../src/models/stsn.ts';
import { loadModel } from '../../../src/node.ts';
import { checkpointFiles } from '../../../src/tasks/checkpoint.ts';
import { predict } from '../../../src/tasks/spans/predict.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import {
  inputError,
  logOf,
  sentencesOf,
  temporaryFolder,
  tinyConfig,
  tinyRun,
  tokenizerOf,
  trainRun,
} from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const segmentAttention = { scales: [2, 4], heads: 2, headSize: 8 };

test('the key and its defaults', (t) => {
  const sentences = sentencesOf(0, 4);
  const tokenizer = tokenizerOf(sentences);
  const parse = (given: Json) => tinyConfig(sentences, tokenizer, given);
  t.notOk('segmentAttention' in parse({}), 'absent unless asked for');
  const config = parse({ segmentAttention });
  t.deepEqual(config.segmentAttention, { ...segmentAttention, projections: 'per-scale', mix: 'global' });
  const stored = JSON.parse(JSON.stringify(configJson('stsn', config))) as Json;
  t.deepEqual(parseStsnConfig(stored, 'again'), config, 'comes back from a checkpoint');
  const wrong: [unknown, RegExp][] = [
    [true, /^InputError: config: "segmentAttention" must be an object; it is true$/],
    [null, /"segmentAttention" must be an object; it is null/],
    [{}, /^InputError: config: segmentAttention: "scales" must be a list .* it is missing$/],
    [{ ...segmentAttention, scales: [0] }, /segmentAttention: "scales" must be a list/],
    [{ ...segmentAttention, headSize: undefined }, /segmentAttention: "headSize" .* it is missing/],
    [{ ...segmentAttention, size: 3 }, /segmentAttention: unknown key "size" \(known: scales, heads/],
    [{ ...segmentAttention, mix: 'gated' }, /segmentAttention: "mix" gated needs "projections" shared/],
  ];
  for (const [value, message] of wrong)
    t.throws(() => parse({ segmentAttention: value }), message, JSON.stringify(value));
  t.end();
});

for (const projections of ['per-scale', 'shared'])
  test(`it trains and comes back, ${projections}`, async (t) => {
    const out = temporaryFolder();
    const run = tinyRun(runtime, out, {}, { segmentAttention: { ...segmentAttention, projections } });
    const { model } = run;
    const name = (part: string) => model.parameters.all.get(`segment_attention.${part}`)?.tensor;
    t.deepEqual(
      [...((await name('mix.weight')?.read()) ?? [])],
      Array<number>(3).fill(Math.fround(1 / 3)),
      'it begins as a mean',
    );
    const before = await model.parameters.read();
    await trainRun(stsn, run);
    const after = await model.parameters.read();
    const module = [...before.keys()].filter((key) => key.startsWith('segment_attention.'));
    t.equal(module.length, projections === 'shared' ? 11 : 21, `${module.length} parameters of its own`);
    // The true gradient of a key's bias is 0.
    for (const key of module.filter((each) => !each.endsWith('key.bias')))
      t.notDeepEqual(after.get(key)?.data, before.get(key)?.data, `${key} has moved`);
    const losses = logOf(out).flatMap(({ event, loss }) => (event === 'epoch' ? [Number(loss)] : []));
    t.ok(losses[losses.length - 1] < 0.8 * losses[0], `the loss falls: ${losses.map((x) => x.toFixed(3))}`);

    const copy = temporaryFolder();
    for (const [file, content] of Object.entries(await checkpointFiles(stsn, run)))
      writeFileSync(join(copy, file), Array.isArray(content) ? Buffer.concat(content) : (content as string));
    const loaded = await loadModel(runtime, copy, stsn);
    const words = sentencesOf(24, 27).map((sentence) => sentence.tokens);
    const found = await predict(run, words, String);
    t.deepEqual(await predict(loaded, words, String), found, 'the same predictions');
    loaded.release();

    const plain = { ...configJson('stsn', model.config), segmentAttention: undefined };
    writeFileSync(join(copy, 'config.json'), JSON.stringify(plain));
    t.match(
      await inputError(() => loadModel(runtime, copy, stsn)),
      /model\.safetensors: .*surplus.*segment_attention/,
      'without the key its tensors are surplus',
    );
    model.parameters.release();
    t.ok(existsSync(join(out, 'config.json')));
  });

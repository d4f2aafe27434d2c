/** The attention map: a row of three tokens worked by hand, the tiny checkpoints, the SVG. */
import test from 'tape';
import { references } from '../../../kernels/reference/index.ts';
import { loadModel } from '../../../src/node.ts';
import {
  attentionMap,
  clusterDistance,
  combinedWeights,
  singleTokens,
  type AttentionMap,
  type ScaleAttention,
} from '../../../src/tasks/prompts/attention-map.ts';
import { attentionEntropy } from '../../../src/tasks/attention.ts';
import { attentionSvg } from '../../../src/tasks/prompts/attention-svg.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import { relativeError } from '../../relative-error.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const fixtures = 'test/fixtures/cerem';
const input = { prompt: '地点', text: '小林昨天从青岛港出发，去北岸看海。' };
const mapOf = async (name: string, of = input): Promise<AttentionMap> => {
  const { model, tokenizer } = await loadModel(runtime, `${fixtures}/${name}`, cerem);
  const map = await attentionMap(model, tokenizer, of, 'input').finally(() => model.parameters.release());
  return map;
};

const close = (t: test.Test, actual: ArrayLike<number>, expected: readonly number[], what: string) =>
  t.ok(relativeError(actual, expected) < 1e-12, `${what}: ${Array.from(actual).join(' ')}`);

test('combined weights of three tokens, by hand', (t) => {
  // One head of one number; the scores of query 1 are ln 1, ln 9, ln 4 and those of query 0 are 0.
  const q = [0, 1, 0];
  const k = [0, Math.log(9), Math.log(4)];
  const of = (scale: number, weight: number): ScaleAttention => ({ scale, q, k, weight: () => weight });
  const row = (scales: ScaleAttention[], i: number) =>
    combinedWeights(scales, 1, 3)[0].subarray(3 * i, 3 * i + 3);

  close(t, row([of(1, 1)], 1), [1 / 14, 9 / 14, 4 / 14], 'scale 1 is self-attention');
  // Segments 01 and 12 have the means ln 3 and ln 6: probabilities 1/3 and 2/3, half of each to either token.
  close(t, row([of(2, 1)], 1), [1 / 6, 1 / 2, 1 / 3], 'scale 2');
  close(t, row([of(2, 1)], 0), [1 / 4, 1 / 2, 1 / 4], 'scale 2, scores 0');
  close(t, row([of(3, 1)], 1), [1 / 3, 1 / 3, 1 / 3], 'scale 3 has one segment');
  // |−3| and |1|: three quarters of scale 2 and one of scale 3.
  close(t, row([of(2, -3), of(3, 1)], 1), [5 / 24, 11 / 24, 1 / 3], 'weights count by their size');
  close(t, row([of(2, 1), of(4, 5)], 1), [1 / 6, 1 / 2, 1 / 3], 'a scale without a segment is left out');
  close(t, row([of(2, 0)], 1), [0, 0, 0], 'weights 0');
  const flat = { ...of(4, 5), q: [0, 0, 0] };
  close(t, row([of(2, 1), flat], 1), [1 / 6, 1 / 2, 1 / 3], 'whatever its queries');
  close(
    t,
    row(singleTokens([of(2, 1), flat], 3), 1),
    [1 / 14, 9 / 14, 4 / 14],
    'and is left out without segments',
  );
  t.end();
});

test('combined weights: heads and weights by query', (t) => {
  // Head 0 has scores 0; head 1 those of ln 1, ln 9 times √dh = 1, for query 1 alone.
  const q = [0, 0, 0, 1];
  const k = [5, 0, 5, Math.log(9)];
  const gate = (scale: number): ScaleAttention => ({
    scale,
    q,
    k,
    weight: (query, head) => (scale === 1 ? query + head : 1),
  });
  const [first, second] = combinedWeights([gate(1), gate(2)], 2, 2);
  close(t, first, [1 / 2, 1 / 2, 1 / 2, 1 / 2], 'head 0');
  // Query 1: scale 1 weighs 2 of 3.
  close(t, second, [1 / 2, 1 / 2, (2 * 0.1 + 0.5) / 3, (2 * 0.9 + 0.5) / 3], 'head 1');
  t.end();
});

test("combined weights are the kernel's: its output for values that are the identity", (t) => {
  const L = 5;
  const numbers = (from: number) =>
    Float64Array.from({ length: L * L }, (_, i) => 3 * Math.sin(from + i * i));
  const [q, k] = [numbers(1), numbers(2)];
  const v = Float64Array.from({ length: L * L }, (_, i) => Number(i % (L + 1) === 0));
  const shape = [1, L, L];
  const inputs = {
    ...{ q: { shape, data: q }, k: { shape, data: k }, v: { shape, data: v } },
    weights: { shape: [2], data: Float64Array.of(0.25, 0.75) },
    lengths: { shape: [1], data: Int32Array.of(L) },
  };
  const { out } = references['segment-attention'].forward(inputs, { heads: 1, scales: [2, 3] });
  const scales = [
    { scale: 2, q, k, weight: () => 0.25 },
    { scale: 3, q, k, weight: () => 0.75 },
  ];
  t.ok(relativeError(combinedWeights(scales, 1, L)[0], out.data) < 1e-12);
  t.end();
});

test('attention entropy and cluster distance', (t) => {
  const identity = Float64Array.of(1, 0, 0, 0, 1, 0, 0, 0, 1);
  const uniform = new Float64Array(9).fill(1 / 3);
  close(t, [attentionEntropy([identity, uniform], 3)], [Math.log(3) / 2], 'mean over heads');
  t.equal(clusterDistance(uniform, 3), 0, 'rows alike');
  t.equal(clusterDistance(Float64Array.of(1), 1), 0, 'one row');
  const groups = Float64Array.from([...[1, 0, 0, 0], ...[1, 0, 0, 0], ...[0, 0, 1, 0], ...[0, 0, 1, 0]]);
  close(t, [clusterDistance(groups, 4)], [Math.SQRT2], 'two groups');
  // Rows at 0, 0.1, 0.8, 1 of the way between two tokens: means 0.05 and 0.9.
  const line = Float64Array.from([0, 0.1, 0.8, 1].flatMap((x) => [1 - x, x, 0, 0]));
  close(t, [clusterDistance(line, 4)], [0.85 * Math.SQRT2], '2-means');
  t.end();
});

for (const name of ['per-scale', 'shared-global', 'shared-per-head', 'shared-gated', 'no-branches', 'no-sia'])
  test(`attention map of ${name}`, async (t) => {
    const { tokens, branches } = await mapOf(name);
    t.deepEqual([tokens[0], tokens[tokens.length - 1]], ['[CLS]', '[SEP]']);
    t.equal(tokens.filter((token) => token === '[SEP]').length, 2);
    const expected = name === 'no-branches' ? ['shared'] : ['start', 'end'];
    t.deepEqual(
      branches.map(({ branch }) => branch),
      expected,
    );
    for (const { branch, withSegments, withoutSegments } of branches) {
      t.equal(withSegments === undefined, name === 'no-sia', 'with segments where the model has them');
      for (const map of [withSegments, withoutSegments]) {
        if (!map) continue;
        const rows = tokens.map((_, i) =>
          map.weights.subarray(i * tokens.length, (i + 1) * tokens.length).reduce((a, b) => a + b, 0),
        );
        t.ok(
          rows.every((sum) => Math.abs(sum - 1) < 1e-12),
          `${branch}: rows sum to 1`,
        );
        t.ok(map.entropy > 0 && map.entropy <= Math.log(tokens.length) + 1e-12, `entropy ${map.entropy}`);
        t.ok(map.clusterDistance > 0 && map.clusterDistance <= Math.SQRT2, `distance ${map.clusterDistance}`);
      }
    }
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

test('attention map: a short row, and what cannot be shown', async (t) => {
  const short = await mapOf('per-scale', { prompt: '', text: '雨' }); // 4 pieces; scales 2, 3, 7
  t.deepEqual(short.tokens, ['[CLS]', '[SEP]', '雨', '[SEP]']);
  const weights = short.branches[0].withSegments?.weights ?? new Float64Array();
  t.ok(Math.abs(weights.subarray(0, 4).reduce((a, b) => a + b, 0) - 1) < 1e-12, 'a row is a distribution');
  const failure = (name: string, text: string) => mapOf(name, { prompt: '', text }).then(String, String);
  t.match(await failure('baseline', '雨'), /^InputError: input: the model has "sia" and "branches" false/);
  t.match(await failure('per-scale', '  '), /^InputError: input: the text holds no word piece$/);
  t.match(
    await failure('per-scale', '雨'.repeat(70)),
    /^InputError: input: .* more than the model's maxLength/,
  );
});

test('the SVG of an attention map', (t) => {
  const map = { weights: Float64Array.of(1, 0, 0.25, 0.25), entropy: 0.5, clusterDistance: 0.75 };
  const svg = attentionSvg({
    tokens: ['<a&', `b\u0001${'c'.repeat(20)}`],
    branches: [{ branch: 'start', withSegments: map, withoutSegments: map }],
  });
  t.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  t.ok(svg.includes('&#60;a&#38;</text>') && svg.includes('>b\uFFFDccccccccc…</text>'), 'names are escaped');
  t.equal(svg.match(/d="M0 0h1v1h-1z"/g)?.length, 2, 'the largest weight, in both panels');
  t.equal(svg.match(/d="M0 1h2v1h-2z"/g)?.length, 2, 'equal neighbours in one run, weight 0 undrawn');
  t.match(svg, /entropy 0\.500 nats, cluster distance 0\.750/);
  t.end();
});

test('names in the SVG: single characters upright, square ones given room', (t) => {
  const weights = new Float64Array(9).fill(1 / 3);
  const map = { weights, entropy: 1, clusterDistance: 0 };
  const drawn = (name: string) =>
    attentionSvg({ tokens: ['稻', '𪎭', name], branches: [{ branch: 'start', withoutSegments: map }] });
  const svg = drawn('abcdefgh');
  for (const name of ['稻', '𪎭'])
    t.match(svg, new RegExp(`<text x="[\\d.]+" y="-4" text-anchor="middle">${name}</text>`, 'u'), name);
  t.match(svg, /rotate\(-90\)" dy="0.35em">abcdefgh</, 'longer names are turned');
  const width = (text: string) => Number(/width="(\d+)"/.exec(text)?.[1]);
  t.ok(width(drawn('１２３４５６７８')) > width(svg), 'full-width digits widen the margin');
  t.end();
});

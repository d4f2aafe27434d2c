/** The fusion maps of the tiny ISER against float64 from its weights; what cannot be shown. */
import { readFileSync } from 'node:fs';
import test from 'tape';
import { readSafetensorsFile } from '../../../src/io/files.ts';
import { folderSource } from '../../../src/tasks/folder.ts';
import { loadModel } from '../../../src/tasks/model.ts';
import { encodeSentence, makeWordBatch } from '../../../src/tasks/spans/batch.ts';
import { fusionAttention, fusionMaps } from '../../../src/tasks/spans/iser-attention.ts';
import { iser } from '../../../src/tasks/spans/iser.ts';
import { relativeError } from '../../relative-error.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const fixtures = 'test/fixtures/iser';
const load = (name: string) => loadModel(runtime, folderSource(`${fixtures}/${name}`), iser, undefined, name);
const rows = JSON.parse(readFileSync(`${fixtures}/batch.json`, 'utf8')) as { tokens: string[] }[];
const text = rows[0].tokens.join(' ');

/** x Wᵀ + b [n, d] with the weights of the file. */
function affine(name: string, x: Float64Array, d: number): Float64Array {
  const { tensors } = readSafetensorsFile(`${fixtures}/full/model.safetensors`);
  const [weight, bias] = ['weight', 'bias'].map((part) => tensors.get(`${name}.${part}`)!.data);
  return x.map((_, at) => {
    const [i, o] = [Math.floor(at / d), at % d];
    let sum = Number(bias[o]);
    for (let c = 0; c < d; c++) sum += x[i * d + c] * Number(weight[o * d + c]);
    return sum;
  });
}

/** exp(q k/√d) of every pair, each row divided by its sum. */
function softmaxOfProducts(q: Float64Array, k: Float64Array, d: number): Float64Array {
  const n = q.length / d;
  const dot = (i: number, j: number) =>
    q.subarray(i * d, (i + 1) * d).reduce((sum, x, c) => sum + x * k[j * d + c], 0);
  const all = Float64Array.from({ length: n * n }, (_, at) =>
    Math.exp(dot(Math.floor(at / n), at % n) / Math.sqrt(d)),
  );
  return all.map(
    (e, at) => e / all.subarray(at - (at % n), at - (at % n) + n).reduce((sum, x) => sum + x, 0),
  );
}

test('the fusion maps are those of the weights', async (t) => {
  const loaded = await load('full');
  const { model, tokenizer } = loaded;
  const { words, maps } = await fusionMaps(model, tokenizer, text, 'text');
  t.deepEqual(words, rows[0].tokens, 'the words of the text');
  const n = words.length;
  const d = model.config.encoder.hiddenSize;

  const encoded = encodeSentence(words, tokenizer, model.config.encoder, 'row 1');
  const encoder = await runtime.scope(async () =>
    Float64Array.from(await model.roles(makeWordBatch([encoded], tokenizer.padId)).words.read()),
  );
  const [entity, relation] = ['entity_ffn', 'relation_ffn'].map((name) => affine(name, encoder, d));
  const expected = [
    softmaxOfProducts(entity, relation, d), // eq. 3
    softmaxOfProducts(relation, entity, d), // eq. 4
  ];
  t.deepEqual(
    maps.map(({ query, keys }) => [query, keys]),
    [
      ['entity', 'relation'],
      ['relation', 'entity'],
    ],
  );
  maps.forEach(({ weights, entropy, received }, m) => {
    const error = relativeError(weights, expected[m]);
    t.ok(error < 1e-6, `map ${m + 1}: ${error}`);
    const sums = words.map((_, i) => weights.subarray(i * n, (i + 1) * n).reduce((a, b) => a + b, 0));
    t.ok(
      sums.every((sum) => Math.abs(sum - 1) < 1e-12),
      'rows sum to 1',
    );
    const nats = -expected[m].reduce((sum, a) => sum + a * Math.log(a), 0) / n;
    t.ok(Math.abs(entropy - nats) < 1e-6, `entropy ${entropy}`);
    const columns = words.map((_, j) => words.reduce((sum, _word, i) => sum + expected[m][i * n + j], 0) / n);
    t.ok(relativeError(received, columns) < 1e-6, 'what each word receives');
  });
  t.ok(relativeError(maps[0].weights, maps[1].weights) > 1e-2, 'two maps, not one twice');
  loaded.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('the maps as a document, a table and a drawing', async (t) => {
  const loaded = await load('full');
  const { json, svg, table } = await fusionAttention(loaded, { text: '青岛 of Lagos', prompt: '' });
  const { tokens, maps } = json as { tokens: string[]; maps: { weights: number[][]; entropy: number }[] };
  t.deepEqual(tokens, ['青', '岛', 'of', 'Lagos'], 'CJK characters are words');
  t.deepEqual(
    maps.map(({ weights }) => weights.map((row) => row.length)),
    [
      [4, 4, 4, 4],
      [4, 4, 4, 4],
    ],
  );
  t.deepEqual(table[0], ['fusion', 'entropy', 'most attended to']);
  t.equal(table[1][0], 'entity words attending to relation words');
  t.equal(table[1][1], maps[0].entropy.toFixed(4));
  t.match(table[2][2], /^\S+ 0\.\d{3}, \S+ 0\.\d{3}, \S+ 0\.\d{3}$/);
  t.equal(svg.match(/>relation words attending to entity words</g)?.length, 1);
  t.equal(svg.match(/>青<\/text>/g)?.length, 4, 'a name for each row and column of both panels');
  t.ok(svg.includes('>weight; row: query, column: key<'));
  t.ok(svg.includes('>colour: by the square root of the weight<'), 'its scale is told');

  const one = await fusionMaps(loaded.model, loaded.tokenizer, 'Rain', 'text');
  t.deepEqual(
    one.maps.map(({ weights, entropy }) => [...weights, entropy + 0]),
    [
      [1, 0],
      [1, 0],
    ],
    'a single word attends to itself',
  );
  loaded.release();
});

test('what has no fusion map', async (t) => {
  const failure = async (name: string, text: string, prompt = '') => {
    const loaded = await load(name);
    const said = await fusionAttention(loaded, { text, prompt }).then(String, String);
    loaded.release();
    return said;
  };
  t.match(await failure('no-fusion', text), /^InputError: no-fusion: the model has "fusion" false/);
  t.match(await failure('full', '  '), /^InputError: full: a sentence of 0 words$/);
  t.match(await failure('full', 'Rain '.repeat(31)), /^InputError: full: 31 words make 33 word pieces/);
  t.match(await failure('full', text, 'PER'), /^InputError: full: a prompt is given/);
});

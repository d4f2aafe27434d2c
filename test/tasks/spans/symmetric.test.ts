/** Relation types of which either end may be the head. */
import test from 'tape';
import { parseStsnConfig } from '../../../src/models/stsn.ts';
import { parseIserConfig } from '../../../src/models/iser.ts';
import { withoutOrder } from '../../../src/tasks/spans/decode.ts';
import { allSamples } from '../../../src/tasks/spans/sampling.ts';

const sentence = {
  tokens: ['a', 'b', 'c'],
  entities: [
    { type: 'T', start: 0, end: 1 },
    { type: 'T', start: 1, end: 2 },
    { type: 'T', start: 2, end: 3 },
  ],
  relations: [
    { type: 'near', head: 1, tail: 0 },
    { type: 'of', head: 1, tail: 2 },
  ],
};
const labels = { entityTypes: ['T'], relationTypes: ['near', 'of'], maxSpanWidth: 1 };

test('symmetric relations are learnt in both directions', (t) => {
  const pairsOf = (symmetric?: string[]) => {
    const { heads, tails, relationTargets } = allSamples(sentence, { ...labels, symmetric });
    return Array.from({ length: heads.length / 3 }, (_, i) => [
      heads[3 * i + 1],
      tails[3 * i + 1],
      ...relationTargets.subarray(2 * i, 2 * i + 2),
    ]);
  };
  t.deepEqual(pairsOf(), [
    [0, 1, 0, 0],
    [0, 2, 0, 0],
    [1, 0, 1, 0],
    [1, 2, 0, 1],
    [2, 0, 0, 0],
    [2, 1, 0, 0],
  ]);
  t.deepEqual(pairsOf(['near'])[0], [0, 1, 1, 0]);
  t.deepEqual(pairsOf(['near']).slice(1), pairsOf().slice(1));
  t.end();
});

test('symmetric relations are told once', (t) => {
  const found = [
    { type: 'near', head: 0, tail: 1, score: 0.5 },
    { type: 'near', head: 1, tail: 0, score: 0.75 },
    { type: 'of', head: 0, tail: 1, score: 0.5 },
    { type: 'of', head: 1, tail: 0, score: 0.5 },
    { type: 'near', head: 2, tail: 1, score: 0.5 },
  ];
  t.deepEqual(withoutOrder(found), found);
  t.deepEqual(withoutOrder(found, ['near']), [
    { type: 'near', head: 0, tail: 1, score: 0.75 },
    found[2],
    found[3],
    { type: 'near', head: 1, tail: 2, score: 0.5 },
  ]);
  t.end();
});

test('symmetric relations are declared in a configuration', (t) => {
  const encoder = {
    ...{ vocab_size: 9, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 1, intermediate_size: 4 },
    max_position_embeddings: 16,
  };
  for (const [model, parse] of [
    ['stsn', parseStsnConfig],
    ['iser', parseIserConfig],
  ] as const) {
    const json = { model, encoder, relationTypes: ['near', 'of'] };
    t.notOk('symmetric' in parse(json, 'c'), 'absent where it was: the same configuration');
    t.deepEqual(parse({ ...json, symmetric: ['near'] }, 'c').symmetric, ['near']);
    t.throws(
      () => parse({ ...json, symmetric: ['far'] }, 'c'),
      /"symmetric" may list relationTypes alone \(near, of\)/,
    );
  }
  t.end();
});

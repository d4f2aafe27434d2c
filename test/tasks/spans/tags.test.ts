import test from 'tape';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { readCorpus } from '../../../src/tasks/corpus-file.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { encodeTags, tagNotes, tagSet } from '../../../src/tasks/spans/tags.ts';
import { firstOnSpan, own, published } from '../data.ts';

/** A sentence of `length` tokens with entities [type, start, end]. */
function sentenceOf(length: number, ...entities: [string, number, number][]): Sentence {
  return {
    tokens: Array.from({ length }, (_, i) => `w${i}`),
    entities: entities.map(([type, start, end]) => ({ type, start, end })),
    relations: [],
  };
}

/** The tag of every token by name, of the classes that the sentence alone makes. */
function tagsOf(sentence: Sentence): string[] {
  const tags = tagSet([sentence]);
  return [...encodeTags(sentence, tags)].map((i) => tags[i]);
}

test('plain BIO: an I never starts an entity, neighbours of one type stay apart', (t) => {
  t.deepEqual(tagsOf(sentenceOf(6, ['PER', 4, 5], ['PER', 1, 4])), [
    'O',
    'B-PER',
    'I-PER',
    'I-PER',
    'B-PER',
    'O',
  ]);
  t.end();
});

test('two-fold overlaps: the preceding entity comes first, whatever the order in the file', (t) => {
  t.deepEqual(
    tagsOf(sentenceOf(2, ['DRUG', 0, 1], ['AE', 0, 2])),
    ['B-AE/B-DRUG', 'I-AE'],
    'figure 4: same start',
  );
  t.deepEqual(
    tagsOf(sentenceOf(4, ['A', 1, 4], ['Z', 0, 3])),
    ['B-Z', 'I-Z/B-A', 'I-Z/I-A', 'I-A'],
    'crossing: the earlier start first',
  );
  t.deepEqual(tagsOf(sentenceOf(3, ['A', 0, 3], ['A', 1, 2])), ['B-A', 'I-A/B-A', 'I-A'], 'nested, one type');
  t.deepEqual(
    tagsOf(sentenceOf(2, ['Y', 0, 2], ['X', 0, 2])),
    ['B-Y', 'I-Y'],
    'one span: the first type wins',
  );
  t.end();
});

test('three-fold overlaps keep the first two, and the notes count the tokens', (t) => {
  const nested = sentenceOf(5, ['C', 2, 3], ['B', 1, 3], ['A', 0, 4], ['D', 2, 4]);
  const expected = ['B-A', 'I-A/B-B', 'I-A/I-B', 'I-A/I-D', 'O'];
  t.deepEqual(tagsOf(nested), expected);
  t.deepEqual(tagNotes([nested, sentenceOf(2, ['A', 0, 1])], tagSet([nested])), [
    'tokens inside three or more entities: 1; tagged with the first two',
  ]);
  t.end();
});

test('tag classes: O, then B and I of each type, then the combined ones that occur', (t) => {
  const corpus = [sentenceOf(3, ['DRUG', 0, 1], ['AE', 0, 2]), sentenceOf(3, ['DRUG', 0, 3], ['AE', 1, 2])];
  const tags = ['O', 'B-AE', 'I-AE', 'B-DRUG', 'I-DRUG', 'B-AE/B-DRUG', 'I-DRUG/B-AE'];
  t.deepEqual(tagSet(corpus), tags);
  t.deepEqual(tagSet([...corpus].reverse()), tags, 'whatever the order of the sentences');
  t.deepEqual(tagSet([sentenceOf(1)], ['B', 'A']), ['O', 'B-B', 'I-B', 'B-A', 'I-A'], 'types as given');
  t.deepEqual(encodeTags(corpus[0], tags), Int32Array.of(5, 2, 0));
  t.deepEqual(encodeTags(corpus[1], tags), Int32Array.of(3, 6, 4));
  t.end();
});

test('a combined tag never seen in training falls back to the preceding entity; a strange type is an error', (t) => {
  const tags = tagSet([sentenceOf(2, ['AE', 0, 1], ['DRUG', 1, 2])]);
  const dev = sentenceOf(2, ['DRUG', 0, 1], ['AE', 0, 2]);
  t.deepEqual(encodeTags(dev, tags), Int32Array.of(1, 2));
  t.match(tagNotes([dev], tags)[0], /does not have: 1;/);
  t.throws(() => encodeTags(sentenceOf(1, ['NEW', 0, 1]), tags), /tag "B-NEW" is not among the model's tags/);
  t.end();
});

for (const { name, path, skip } of [
  own('words.json'),
  own('faults.json'),
  ...['conll04/conll04_train', 'scierc/scierc_train', 'diakg_sample/diakg_sample'].map((name) =>
    published(`${name}.json`),
  ),
])
  test(`tags of ${name} encode and decode`, { skip }, (t) => {
    const sentences = readCorpus(stsn, path).sentences;
    const tags = tagSet(sentences);
    t.ok(
      sentences.every((s) => [...encodeTags(s, tags)].map((i) => tags[i]).join() === tagsOf(s).join()),
      `${tags.length} classes`,
    );
    // Every entity is somewhere begun by a tag of its type, unless two others cover that token.
    const begun = sentences.every((s) => {
      const tagged = tagsOf(s);
      return firstOnSpan(s.entities).every(
        (e) => tagged[e.start].includes('/') || tagged[e.start] === `B-${e.type}`,
      );
    });
    t.ok(begun, 'entities begin with B');
    if (name.startsWith('conll04')) t.equal(tags.length, 9, 'no overlaps, no combined tags');
    t.comment(tagNotes(sentences, tags).join('; ') || 'no notes');
    t.end();
  });

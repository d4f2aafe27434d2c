/** From a corpus to what the model takes: configuration, pieces, batches, targets. No device. */
import test from 'tape';
import type { Json } from '../../../src/models/config.ts';
import type { Stsn } from '../../../src/models/stsn.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import { encodeSentence, makeWordBatch } from '../../../src/tasks/spans/batch.ts';
import { tagTargets } from '../../../src/tasks/spans/losses.ts';
import type { SpanTypes } from '../../../src/tasks/spans/model.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';
import { defaultRecipe, parseRecipe } from '../../../src/tasks/training/recipe.ts';
import { planTraining } from '../../../src/tasks/training/train.ts';
import { corpusOf, inputError } from './tiny.ts';

const vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', 'the', 'ship', '##s', 'sail'];
const tokenizer = createWordPieceTokenizer({ vocab, doLowerCase: false });
const sentence: Sentence = {
  tokens: ['the', 'ships', 'sail'],
  entities: [{ type: 'Ship', start: 1, end: 2 }],
  relations: [],
};
const small = { hidden_size: 4, num_hidden_layers: 0, num_attention_heads: 1, intermediate_size: 4 };
const complete = (given: Json) =>
  stsn.complete(
    { heads: 2, encoder: { ...small, max_position_embeddings: 8 }, ...given },
    'c.json',
    corpusOf([sentence], 'train.json'),
    tokenizer,
  );
const config = complete({});

test('a vocabulary of another size than the table is told', (t) => {
  const told = (size: number): string | undefined =>
    planTraining<SpanTypes<Stsn>>(stsn, {
      ...{ train: corpusOf([sentence], 'train.json'), tokenizer },
      config: { heads: 2, encoder: { ...small, max_position_embeddings: 8, vocab_size: size } },
    }).notes.find((note) => note.startsWith('vocabulary of'));
  t.match(told(8)!, /^vocabulary of 8 entries: text keeps its case/);
  t.match(told(12)!, /^vocabulary of 8 entries \(the encoder's table has 12\): /);
  t.match(told(6)!, /^vocabulary of 8 entries \(the encoder's table has 6, .*: is it the encoder's own\): /);
  t.end();
});

test('a sentence as pieces, and a padded batch', (t) => {
  const long = encodeSentence(sentence.tokens, tokenizer, config.encoder, 'x');
  t.deepEqual([...long.ids], [2, 4, 5, 6, 7, 3], '[CLS] the ship ##s sail [SEP]');
  t.deepEqual([...long.words], [1, 2, 2, 4, 4, 5]);
  const short = encodeSentence(['zzz'], tokenizer, config.encoder, 'x');
  t.deepEqual([...short.ids], [2, 1, 3], 'an unknown word is one [UNK]');
  const { pieces, words, wordLengths, columns } = makeWordBatch([short, long], 0);
  t.deepEqual([...pieces.ids], [2, 1, 3, 0, 0, 0, 2, 4, 5, 6, 7, 3]);
  t.deepEqual([[...pieces.lengths], pieces.rows, pieces.columns], [[3, 6], 2, 6]);
  t.deepEqual([...words], [0, 1, 2, 0, 0, 0, 0, 0, 0, 1, 1, 2, 1, 2, 4, 1, 4, 5]);
  t.deepEqual([[...wordLengths], columns], [[1, 3], 3]);
  t.end();
});

test('sentences that cannot be encoded', async (t) => {
  const message = (tokens: string[], c = config) =>
    inputError(() => encodeSentence(tokens, tokenizer, c.encoder, 'f: row 3'));
  t.equal(await message([]), 'f: row 3: a sentence of 0 words');
  t.equal(
    await message(new Array<string>(2000).fill('ships')),
    "f: row 3: 2000 words make 4002 word pieces, more than the encoder's 8 positions; split it",
  );
  t.equal(await message(['ships', 'ships', 'ships']), 'no error', 'as many pieces as positions');
  t.match(await message(['ships', 'ships', 'ships', 'the']), /^f: row 3: 4 words make 9 word pieces/);
  t.equal(
    await message(['sail'], complete({ encoder: { ...small, vocab_size: 7 } })),
    "f: row 3: piece id 7 of the tokenizer is outside the encoder's vocabulary of 7",
  );
});

test('what is longer than the encoder is refused in the training data alone: dev data are read in windows', async (t) => {
  const long: Sentence = { tokens: new Array<string>(9).fill('sail'), entities: [], relations: [] };
  const plan = (train: Sentence[], dev: Sentence[]) =>
    inputError(() =>
      stsn.epochs({
        ...{ model: { config } as Stsn, tokenizer, extra: undefined, what: 'm' },
        ...{ train: corpusOf(train, 'train.json'), dev: corpusOf(dev, 'dev.json') },
        recipe: defaultRecipe(stsn.recipe),
      }),
    );
  t.match(await plan([sentence, long], [sentence]), /^train\.json: row 2: 9 words make 11 word pieces/);
  t.equal(await plan([sentence], [long]), 'no error');
});

test('tag targets: −100 past the end of a sentence', (t) => {
  const other: Sentence = { tokens: ['the'], entities: [], relations: [] };
  t.deepEqual([...tagTargets([sentence, other], config.tags, 4)], [0, 1, 0, -100, 0, -100, -100, -100]);
  t.end();
});

test('a configuration is completed from the corpus', (t) => {
  t.deepEqual(config.entityTypes, ['Ship']);
  t.deepEqual(config.tags, ['O', 'B-Ship', 'I-Ship']);
  t.deepEqual(config.relationTypes, []);
  t.equal(config.encoder.vocabSize, vocab.length);
  const given = complete({ entityTypes: ['Port', 'Ship'], relationTypes: ['At'], layers: 1 });
  t.deepEqual(given.tags, ['O', 'B-Port', 'I-Port', 'B-Ship', 'I-Ship'], 'tags follow the given types');
  t.deepEqual([given.relationTypes, given.layers], [['At'], 1]);
  t.deepEqual(complete({ label: false, tags: [] }).tags, [], 'without labels no tag is needed');
  t.end();
});

test('bad configuration values are InputErrors that name file and key', async (t) => {
  const cases: [Json, RegExp][] = [
    [{ entityTypes: 'Ship' }, /"entityTypes" must be a list of strings/],
    [{ entityTypes: { 0: 'Ship' } }, /"entityTypes" must be a list of strings/],
    [{ entityTypes: [1] }, /"entityTypes" must be a list of strings/],
    [{ entityTypes: ['Ship', 'Ship'] }, /"entityTypes" must not repeat/],
    [{ relationTypes: 'At' }, /"relationTypes" must be a list/],
    [{ tags: 3 }, /"tags" must be a list/],
    [{ tags: [] }, /"tags" lacks O, B-Ship, I-Ship$/],
    [{ tags: ['O', 'B-Ship'] }, /"tags" lacks I-Ship$/],
    [{ tags: ['B-Ship', 'I-Ship'] }, /"tags" lacks O$/],
    [{ entityTypes: ['Ship', 'Port'], tags: ['O', 'B-Ship', 'I-Ship'] }, /"tags" lacks B-Port, I-Port$/],
    [{ encoder: null }, /"encoder" must be an object/],
    [{ encoder: 'bert' }, /"encoder" must be an object/],
    [{ encoder: [] }, /"encoder" must be an object/],
    [{ encoder: { hidden_size: 4 } }, /"num_hidden_layers" must be an integer/],
    [{ encoder: { ...small, vocab_size: 'many' } }, /"vocab_size" must be an integer/],
    [{ encoder: { ...small, hidden_size: 5, num_attention_heads: 2 } }, /does not divide/],
    [{ heads: 3 }, /"heads" 3 does not divide/],
    [{ layers: -1 }, /"layers" must be an integer/],
    [{ maxSpanWidth: 0 }, /"maxSpanWidth" must be an integer/],
    [{ relationThreshold: 1.5 }, /"relationThreshold" must be a number/],
    [{ interaction: 'all' }, /"interaction" must be one of both/],
    [{ label: 1 }, /"label" must be true or false/],
    [{ model: 'cerem' }, /"model" must be one of stsn/],
    [{ layer: 2 }, /unknown key "layer"/],
  ];
  for (const [given, rule] of cases) {
    const message = await inputError(() => complete(given));
    t.ok(message.startsWith('c.json: ') && rule.test(message) && !message.includes('\n'), message);
  }
});

test('recipes: the default is whole; a missing or surplus key is told', async (t) => {
  const recipe = { ...defaultRecipe(stsn.recipe) };
  t.deepEqual(parseRecipe(stsn.recipe, recipe, 'r'), recipe);
  for (const key of Object.keys(recipe)) {
    const without = Object.fromEntries(Object.entries(recipe).filter(([k]) => k !== key));
    t.match(
      await inputError(() => parseRecipe(stsn.recipe, without, 'r')),
      new RegExp(`^r: "${key}" must .* it is missing$`),
    );
  }
  t.match(
    await inputError(() => parseRecipe(stsn.recipe, { ...recipe, epoch: 1 }, 'r')),
    /^r: unknown key "epoch"/,
  );
});

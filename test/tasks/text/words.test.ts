/** Plain text into words: the rules, which of them gives the words of a corpus back, what is told of the others. */
import { existsSync, readFileSync } from 'node:fs';
import test from 'tape';
import { Fields } from '../../../src/models/config.ts';
import { parseWordRule, wordRuleJson, wordRules, type WordRule } from '../../../src/models/word-rule.ts';
import { parseSpertJson, type Sentence } from '../../../src/tasks/dataset.ts';
import { chooseWordRule, ruleNotes, wordNotes, wordsOf } from '../../../src/tasks/text/word-rules.ts';
import { splitWords } from '../../../src/tasks/text/words.ts';
import { randomTexts } from './random.ts';

const penn = (text: string, whole: string[] = []): string =>
  splitWords(text, { rule: 'penn', whole })
    .map((word) => word.text)
    .join(' ¦ ');

const sentence = (text: string, entities: Sentence['entities'] = []): Sentence => ({
  ...{ tokens: text.split(' '), entities },
  relations: [],
});

test('penn: marks and clitics stand alone, hyphens and abbreviations do not', (t) => {
  const cases: [text: string, words: string][] = [
    [
      'The U.S.-based Orvia Corp. hired Dr. Quist.',
      'The ¦ U.S.-based ¦ Orvia ¦ Corp. ¦ hired ¦ Dr. ¦ Quist ¦ .',
    ],
    ['She left. Then it rained!', 'She ¦ left ¦ . ¦ Then ¦ it ¦ rained ¦ !'],
    ['It rained approx. two hours, i.e. long.', 'It ¦ rained ¦ approx. ¦ two ¦ hours ¦ , ¦ i.e. ¦ long ¦ .'],
    [
      '"We can\'t," he said (see Fig. 3).',
      '" ¦ We ¦ ca ¦ n\'t ¦ , ¦ " ¦ he ¦ said ¦ ( ¦ see ¦ Fig. ¦ 3 ¦ ) ¦ .',
    ],
    ["Tolm's workers' pumps", "Tolm ¦ 's ¦ workers ¦ ' ¦ pumps"],
    ['they’re don’t', 'they ¦ ’re ¦ do ¦ n’t'],
    ['state-of-the-art and/or 1,000 at 10:30', 'state-of-the-art ¦ and/or ¦ 1,000 ¦ at ¦ 10:30'],
    ['$5.50, 50% or £3', '$ ¦ 5.50 ¦ , ¦ 50 ¦ % ¦ or ¦ £ ¦ 3'],
    ['wait... no--yes — well', 'wait ¦ ... ¦ no ¦ -- ¦ yes ¦ — ¦ well'],
    ['a,b;c(d)', 'a ¦ , ¦ b ¦ ; ¦ c ¦ ( ¦ d ¦ )'],
    ['J. Q. Velde lives in the U.S.', 'J. ¦ Q. ¦ Velde ¦ lives ¦ in ¦ the ¦ U.S.'],
    [
      'She left in May . It rained , then Texas.',
      'She ¦ left ¦ in ¦ May ¦ . ¦ It ¦ rained ¦ , ¦ then ¦ Texas.',
    ],
    ['.', '.'],
    ["' '' `` ''x", "' ¦ '' ¦ `` ¦ '' ¦ x"],
    ['\u200b \ud800', ''],
    ['', ''],
  ];
  for (const [text, words] of cases) t.equal(penn(text), words, text);
  t.equal(
    penn("'Brien (Dr.Who), said. He", ["'Brien", 'said.']),
    "'Brien ¦ ( ¦ Dr.Who ¦ ) ¦ , ¦ said. ¦ He",
    'kept whole',
  );
  t.equal(
    penn('Calif. It rained.', ['Calif.', 'rained.']),
    'Calif. ¦ It ¦ rained ¦ .',
    'but at the end of the text',
  );
  t.end();
});

test('every rule: words are slices of the text, in order, and leave out nothing that is seen', (t) => {
  const texts = [
    ...randomTexts(31, 300),
    ...randomTexts(32, 100).map((text) => text.replace(/[^\s!-~]/gu, '.')),
  ];
  for (const rule of wordRules) {
    const wrong = texts.filter((text) => {
      let at = 0;
      const isSeen = (gap: string) => /[^\s\p{C}\ufffd]/u.test(gap);
      for (const { text: word, start, end } of splitWords(text, { rule, whole: ['a.'] })) {
        if (start < at || end <= start || (rule !== 'basic' && text.slice(start, end) !== word)) return true;
        if (isSeen(text.slice(at, start))) return true;
        at = end;
      }
      return isSeen(text.slice(at));
    });
    t.deepEqual(wrong.slice(0, 2), [], rule);
  }
  t.deepEqual(splitWords('港A 1', { rule: 'characters', whole: [] }), [
    { text: '港', start: 0, end: 1 },
    { text: 'A', start: 1, end: 2 },
    { text: '1', start: 3, end: 4 },
  ]);
  t.deepEqual(
    splitWords('x-1 y-2', { rule: 'basic', whole: ['x-1'] }).map(({ text, start, end }) => [
      text,
      start,
      end,
    ]),
    [
      ['x-1', 0, 3],
      ['y', 4, 5],
      ['-', 5, 6],
      ['2', 6, 7],
    ],
  );
  t.end();
});

const basicCorpus = [sentence('Anna sees Port Anselm .'), sentence('It rained , then - at 5 - it snowed .')];
const pennCorpus = [
  sentence('The U.S.-based Orvia Corp. hired Dr. Quist .', [
    { type: 'Org', start: 2, end: 4 },
    { type: 'Place', start: 1, end: 2 },
  ]),
  sentence("Tolm 's state-of-the-art pump X-200 failed at Nyl. Ave. Seven , $100 gone ."),
  sentence('The Nyl. Ave. is long .'),
];
const charCorpus = [sentence('泵 A 3 漏 油 。'), sentence('换 泵 2 台')];

test('the rule that gives the training words back is chosen, and what it parts stays whole', (t) => {
  t.deepEqual(chooseWordRule(basicCorpus), { rule: 'basic', whole: [] }, 'basic where both do');
  t.deepEqual(chooseWordRule(pennCorpus), {
    rule: 'penn',
    whole: ['Ave.', 'Nyl.', '$100'],
  });
  t.deepEqual(chooseWordRule(charCorpus), { rule: 'characters', whole: [] });
  const escaped = [...pennCorpus, sentence('The pump -LRB- type X-200 -RRB- failed .')];
  t.equal(chooseWordRule(escaped).escaped, true, 'brackets as their file spells them');
  t.deepEqual(
    splitWords('pump (X-200)', chooseWordRule(escaped)).map(({ text, start, end }) => [text, start, end]),
    [
      ['pump', 0, 4],
      ['-LRB-', 5, 6],
      ['X-200', 6, 11],
      ['-RRB-', 11, 12],
    ],
  );
  t.equal(
    chooseWordRule([...escaped, sentence('A pump ( old ) runs .')]).escaped,
    undefined,
    'unless not always',
  );
  t.equal(chooseWordRule(pennCorpus, 'basic').rule, 'basic', 'unless one is given');
  t.deepEqual(wordNotes(pennCorpus, { words: chooseWordRule(pennCorpus) }), [], 'nothing is missed');
  t.deepEqual(wordNotes(pennCorpus, { words: chooseWordRule(pennCorpus, 'basic') }), []);
  t.deepEqual(wordsOf({}, basicCorpus), {}, 'no key where the old way is right');
  t.deepEqual(wordsOf({}, charCorpus), { words: { rule: 'characters' } });
  t.deepEqual(wordsOf({ words: 'penn' }, basicCorpus), { words: { rule: 'penn' } });
  t.deepEqual(wordsOf({ words: { rule: 'basic' } }, pennCorpus), {}, 'what is given whole stays');
  t.end();
});

test('words and entities that are parted otherwise are counted', (t) => {
  t.deepEqual(wordNotes(basicCorpus, {}), []);
  t.deepEqual(wordNotes(pennCorpus, {}, 'train.json'), [
    'train.json: words that extract parts otherwise in plain text (rule basic): 11 of 28, 39.3 %, such as "U.S.-based", "Corp.", "Dr."; ' +
      'entities that hold one: 2 of 2; extract --tokens takes words as they are',
  ]);
  t.end();
});

test('the rule of a new model is told where it is not the plain one', (t) => {
  t.deepEqual(ruleNotes({}), []);
  t.deepEqual(ruleNotes({ words: { rule: 'characters', whole: [] } }), [
    'extract will part plain text as the training words were: rule characters',
  ]);
  t.match(
    ruleNotes({ words: { rule: 'penn', whole: ['Ave.', '$1'] } })[0],
    /rule penn, which leaves 2 words of the/,
  );
  t.end();
});

test('the key of a configuration', (t) => {
  const parse = (words: unknown) => parseWordRule(new Fields({ words }, 'config.json'));
  const rules: WordRule[] = [
    { rule: 'basic', whole: [] },
    { rule: 'basic', whole: ['x-1'] },
    { rule: 'penn', whole: ['Dr.'] },
    { rule: 'penn', whole: [], escaped: true },
    { rule: 'characters', whole: [] },
  ];
  for (const rule of rules)
    t.deepEqual(parse(wordRuleJson(rule).words), rule, JSON.stringify(wordRuleJson(rule)));
  t.deepEqual(wordRuleJson(rules[0]), {});
  t.deepEqual(parse('penn'), { rule: 'penn', whole: [] });
  for (const [words, message] of [
    ['ptb', /config\.json: "words" must be one of basic, penn, characters; it is "ptb"/],
    [{ rule: 'ptb' }, /config\.json: words: "rule" must be one of/],
    [{ rule: 'penn', whole: 'Dr.' }, /words: "whole" must be a list of strings/],
    [{ rule: 'penn', list: [] }, /words: unknown key "list"/],
    [5, /"words" must be an object; it is 5/],
  ] as const)
    t.throws(() => parse(words), message);
  t.end();
});

const conll = '../shared/data/conll04';
test('CoNLL04 joined to plain text', { skip: existsSync(conll) ? false : `${conll} is not there` }, (t) => {
  const read = (name: string) => parseSpertJson(readFileSync(`${conll}/conll04_${name}.json`, 'utf8'), name);
  const words = chooseWordRule(read('train'));
  const heldBy = (notes: string[]) => Number(/entities that hold one: (\d+)/.exec(notes[0] ?? '')?.[1] ?? 0);
  const [ruled, basic] = [heldBy(wordNotes(read('test'), { words })), heldBy(wordNotes(read('test'), {}))];
  t.equal(words.rule, 'penn');
  t.ok(
    ruled <= 0.01 * 1079 && basic > 0.15 * 1079,
    `${ruled} and ${basic} of 1079 entities of the test split`,
  );
  t.end();
});

const field = '../shared/field/g03-words-split-otherwise/train.json';
test('field case', { skip: existsSync(field) ? false : `${field} is not there` }, (t) => {
  const sentences = parseSpertJson(readFileSync(field, 'utf8'), field);
  t.match(wordNotes(sentences, {})[0], /such as "U\.S\.-based", .*entities that hold one: [1-5] of 5;/);
  t.deepEqual(wordNotes(sentences, { words: chooseWordRule(sentences) }), []);
  t.end();
});

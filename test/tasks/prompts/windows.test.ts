/** Windows of long texts: what they cover, which of them judges, what training loses. */
import test from 'tape';
import { stream } from '../../../src/nn/random.ts';
import { parseCeremConfig } from '../../../src/models/cerem.ts';
import { cachedPieces } from '../../../src/tasks/prompts/batch.ts';
import { mergeAnswers, textWindows, windowSample } from '../../../src/tasks/prompts/windows.ts';
import { inputError, tokenizerOf } from './oracle.ts';

const plain = (count: number) => Array.from({ length: count }, () => ({ text: 'x' }));
const windowsOf = (text: string, prompt: number, maxLength: number, overlap: number) =>
  textWindows(
    Array.from(text, (c) => ({ text: c })),
    prompt,
    maxLength,
    overlap,
    'row 1',
  ).map(({ from, to }) => [...text].slice(from, to).join(''));

test('one window where the text fits', (t) => {
  t.deepEqual(textWindows([], 2, 10, 3, ''), [{ from: 0, to: 0 }]);
  t.deepEqual(textWindows(plain(1), 2, 10, 3, ''), [{ from: 0, to: 1 }]);
  t.deepEqual(textWindows(plain(5), 2, 10, 3, ''), [{ from: 0, to: 5 }], 'to the last piece');
  t.deepEqual(
    textWindows(plain(6), 2, 10, 2, '').map(({ from }) => from),
    [0, 3],
    'and not one more',
  );
  t.end();
});

test('windows overlap, and end after a sentence where one ends', (t) => {
  t.deepEqual(windowsOf('abcdefghij', 1, 10, 2), ['abcdef', 'efghij']);
  t.deepEqual(windowsOf('abcd。fghij', 1, 10, 2), ['abcd。', 'd。fghi', 'hij'], 'the sentence end');
  t.deepEqual(windowsOf('a。cdefghij', 1, 10, 2), ['a。cdef', 'efghij'], 'not in the first half');
  t.deepEqual(windowsOf('abcdef', 1, 5, 9), ['a', 'b', 'c', 'd', 'e', 'f'], 'room for one piece');
  t.end();
});

test('whatever the sizes: pieces in order, none too long, short spans whole in one', (t) => {
  const random = stream(5);
  let cut = 0;
  for (let round = 0; round < 300; round++) {
    const count = random.integer(120);
    const prompt = random.integer(8);
    const maxLength = prompt + 4 + random.integer(40);
    const room = maxLength - prompt - 3;
    const overlap = random.integer(20);
    const shared = Math.min(overlap, Math.floor(room / 2));
    const pieces = Array.from({ length: count }, () => ({ text: random.uniform() < 0.1 ? '。' : 'x' }));
    const windows = textWindows(pieces, prompt, maxLength, overlap, '');
    if (windows[0].from !== 0 || windows[windows.length - 1].to !== count) t.fail(`round ${round}: not all`);
    windows.forEach(({ from, to }, w) => {
      if (to - from > room) t.fail(`round ${round}: ${to - from} pieces in room for ${room}`);
      if (w > 0 && (from !== windows[w - 1].to - shared || from <= windows[w - 1].from))
        t.fail(`round ${round}: window ${w} begins at ${from}`);
    });
    for (let first = 0; first + shared < count; first++)
      if (!windows.some(({ from, to }) => from <= first && first + shared < to))
        t.fail(`round ${round}: no window holds ${shared + 1} pieces from ${first}`);
    if (windows.length > 1) cut++;
  }
  t.ok(cut > 100, `${cut} texts were cut`);
  t.end();
});

test('windows: bad input', async (t) => {
  t.match(
    await inputError(() => textWindows(plain(3), 8, 11, 2, 'a.txt: line 2')),
    /^a\.txt: line 2: a prompt of 8 word pieces leaves no room for the text in the model's maxLength 11$/,
  );
  for (const overlap of [-1, 1.5, NaN])
    t.match(
      await inputError(() => textWindows(plain(3), 1, 11, overlap, 'x')),
      /^x: overlap must be a whole number of at least 0, it is /,
    );
});

test('the window with the most context judges', (t) => {
  const windows = [
    { from: 0, to: 10 },
    { from: 4, to: 14 },
  ];
  const answer = (first: number, last: number, score = 1) => ({ first, last, score });
  const merge = (one: ReturnType<typeof answer>[], two: ReturnType<typeof answer>[]) =>
    mergeAnswers(windows, [one, two], 14).map(({ first, last, score }) => [first, last, score]);
  t.deepEqual(
    merge([answer(1, 2), answer(5, 6, 0.8)], [answer(5, 6, 0.9)]),
    [
      [1, 2, 1],
      [5, 6, 0.8],
    ],
    'once',
  );
  t.deepEqual(merge([answer(8, 9)], [answer(8, 11)]), [[8, 11, 1]], 'cut at the end of the first');
  t.deepEqual(merge([answer(2, 5)], [answer(4, 5)]), [[2, 5, 1]], 'cut at the start of the second');
  t.deepEqual(merge([answer(0, 9)], []), [[0, 9, 1]], 'as long as its window, which begins the text');
  t.deepEqual(merge([], [answer(12, 13)]), [[12, 13, 1]], 'the end of the text is no edge');
  t.deepEqual(mergeAnswers([{ from: 0, to: 3 }], [[answer(0, 2)]], 3), [answer(0, 2)], 'one window');
  t.deepEqual(mergeAnswers([], [], 0), [], 'none');
  t.end();
});

test('many windows: an answer that all of them find counts once', (t) => {
  const [count, room] = [20_000, 8];
  const windows = textWindows(plain(count), 1, room + 4, 4, '');
  const found = windows.map(({ from, to }) =>
    Array.from({ length: to - from - 1 }, (_, i) => ({ first: from + i, last: from + i + 1, score: 1 })),
  );
  const merged = mergeAnswers(windows, found, count).map(({ first }) => first);
  t.equal(merged.length, count - 1);
  t.equal(new Set(merged).size, count - 1);
  t.end();
});

test('a training sample in windows', async (t) => {
  const text = '北京在𠮷田 旁边，河流过北京城。';
  const tokenizer = tokenizerOf([text, '地点']);
  const encoder = { vocab_size: tokenizer.vocabSize, max_position_embeddings: 32 };
  const config = (maxLength: number) =>
    parseCeremConfig(
      {
        model: 'cerem',
        encoder: {
          model_type: 'bert',
          hidden_size: 8,
          num_hidden_layers: 1,
          num_attention_heads: 1,
          intermediate_size: 8,
          hidden_act: 'gelu',
          type_vocab_size: 2,
          layer_norm_eps: 1e-12,
          ...encoder,
        },
        sia: false,
        branches: false,
        maxLength,
      },
      'config',
    );
  const at = (word: string, from = 0): [number, number] => {
    const start = text.indexOf(word, from);
    return [start, start + word.length];
  };
  const [first, second, third] = [at('北京'), at('𠮷田'), at('北京城', 3)];
  const long = at('𠮷田 旁边，河流过');
  const sample = { prompt: '地点', text, spans: [first, second, third] };
  const pieces = cachedPieces(tokenizer);

  const whole = windowSample(sample, pieces, config(32), 4, 'row 1');
  t.deepEqual(
    whole.windows.map((w) => w.sample),
    [sample],
    'where it fits',
  );
  t.deepEqual(whole.lost, []);

  const { windows, lost } = windowSample(
    { ...sample, spans: [...sample.spans, long] },
    pieces,
    config(13),
    2,
    'r',
  );
  t.ok(windows.length > 1, `${windows.length} windows`);
  t.deepEqual(lost, [long], 'what no window holds is told');
  t.deepEqual([...new Set(windows.flatMap((w) => w.sample.spans))], [first, second, third]);
  for (const { sample: part, encoded } of windows) {
    t.ok(encoded.ids.length <= 13 && encoded.textStart === 4);
    t.equal(part.text, text, 'offsets are those of the whole text');
    const [from, to] = [encoded.pieces[0].start, encoded.pieces[encoded.pieces.length - 1].end];
    t.ok(part.spans.every(([start, end]) => start >= from && end <= to));
  }
  const blank = text.indexOf(' ');
  t.deepEqual(
    windowSample({ ...sample, spans: [[blank, blank + 1]] }, pieces, config(13), 2, 'r').lost,
    [[blank, blank + 1]],
    'white space alone',
  );
  t.match(
    await inputError(() => windowSample(sample, pieces, config(5), 2, 'row 7')),
    /^row 7: a prompt of 2 word/,
  );
});

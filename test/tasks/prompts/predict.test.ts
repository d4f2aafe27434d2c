/** Prediction by a tiny model with random weights, and by one that follows a rule: order, batches, windows, offsets. */
import test from 'tape';
import { loadModel } from '../../../src/node.ts';
import { readSafetensorsFile, readTextFile } from '../../../src/io/files.ts';
import { cachedPieces, encodeText, parsePromptedJson } from '../../../src/tasks/prompts/batch.ts';
import { cerem } from '../../../src/tasks/prompts/cerem.ts';
import { predictAnswers, type PredictOptions, type Question } from '../../../src/tasks/prompts/predict.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { follow, inputError, placesOf, tinyModel, tokenizerOf } from './oracle.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime();

const texts = [
  '小林昨天从青岛港出发，去北岸看海。',
  '她',
  '',
  ' \t ',
  '公司在北岸修好了三艘船；雨停后，小林去了青岛港。公司的人去看海。她在北岸给小林写信。',
  '𠮷田在青岛港。',
  'Ｆｕｌｌ　ｗｉｄｔｈ',
];
const prompts = ['人物', '地点', '小林的公司'];
const tokenizer = tokenizerOf([...texts, ...prompts]);
const questions = texts.flatMap((text) => prompts.map((prompt): Question => ({ prompt, text })));
const what = (i: number): string => `question ${i + 1}`;

test('a random model: the result depends neither on batches nor on the order', async (t) => {
  const model = tinyModel(runtime, tokenizer, { maxLength: 32 });
  const run = (options: PredictOptions = {}, asked = questions) =>
    predictAnswers(model, cachedPieces(tokenizer), asked, what, { overlap: 6, ...options });
  const { answers, prompts: asked, forwardPasses } = await run();
  const spans = (of: typeof answers) => of.map((list) => list.map(({ start, end }) => [start, end]));
  t.ok(answers.flat().length > 20, `${answers.flat().length} answers`);
  t.equal(asked, questions.length);
  // Two empty texts make no input, the long one makes two windows a prompt.
  const inputs = 3 * (texts.length - 2 + 1);
  t.equal(forwardPasses, Math.ceil(inputs / 16));
  answers.forEach((list, i) => {
    const { text } = questions[i];
    for (const { start, end, score } of list)
      if (!(start >= 0 && end > start && end <= text.length && score >= 0.5 && score <= 1))
        t.fail(`${what(i)}: ${start} to ${end}, ${score}`);
    const sorted = [...list].sort((a, b) => a.start - b.start || a.end - b.end);
    t.deepEqual(list, sorted, 'in order');
  });
  for (const batchSize of [1, 5, 100]) {
    const done: number[] = [];
    const other = await run({ batchSize, progress: (count, total) => done.push(count, total) });
    t.deepEqual(spans(other.answers), spans(answers), `batches of ${batchSize}`);
    t.equal(other.forwardPasses, Math.ceil(inputs / batchSize));
    t.deepEqual(done.slice(-2), [inputs, inputs], 'progress ends at all');
  }
  const reversed = await run({}, [...questions].reverse());
  t.deepEqual(spans(reversed.answers.reverse()), spans(answers), 'reversed');
  t.deepEqual(await run({}, []), { answers: [], prompts: 0, forwardPasses: 0 }, 'no question');
  t.equal(runtime.memory.report().liveByLabel.activations, 0, 'no activation is left');
  model.parameters.release();
});

test('every text and prompt is tokenised once', async (t) => {
  const model = tinyModel(runtime, tokenizer, { maxLength: 32 });
  const encoded: string[] = [];
  const counting: Tokenizer = Object.create(tokenizer, {
    encode: {
      value: (text: string) => {
        encoded.push(text);
        return tokenizer.encode(text);
      },
    },
  }) as Tokenizer;
  await predictAnswers(model, cachedPieces(counting), questions, what);
  t.deepEqual([...encoded].sort(), [...new Set([...texts, ...prompts])].sort());
  model.parameters.release();
});

test('answers by a rule: offsets are UTF-16 code units of the text as given', async (t) => {
  const model = tinyModel(runtime, tokenizer, { maxLength: 40 });
  const rule = (prompt: string, text: string) =>
    prompt === '人物' ? placesOf(text, '小林', '𠮷田', '她') : placesOf(text, '青岛港', '北岸');
  const seen = follow(model, tokenizer, rule);
  const given: [string, string, string[]][] = [
    ['人物', ' 小林 去青岛港。\t小林', ['小林', '小林']],
    ['地点', ' 小林 去青岛港。\t小林', ['青岛港']],
    ['人物', '𠮷田在青岛港。', ['𠮷田']],
    ['地点', '𠮷田在青岛港。', ['青岛港']],
    ['人物', '，她，', ['她']],
    ['人物', '', []],
    ['地点', '船', []],
  ];
  const asked = given.map(([prompt, text]) => ({ prompt, text }));
  const { answers } = await predictAnswers(model, tokenizer, asked, what, { batchSize: 3 });
  given.forEach(([, text, found], i) =>
    t.deepEqual(
      answers[i].map(({ start, end }) => text.slice(start, end)),
      found,
      text,
    ),
  );
  t.equal(answers[2][0].end, 3, '𠮷 counts twice');
  t.ok(answers[0][0].score > 0.999);
  const lengths = seen.map((batch) => batch.map(({ prompt, text }) => [...(prompt + text)].length));
  t.deepEqual(
    lengths.flat(),
    [...lengths.flat()].sort((a, b) => a - b),
    'inputs of like length together',
  );
  model.parameters.release();
});

test("answers of the fixture's checkpoints are those of PyTorch's logits", async (t) => {
  const fixtures = 'test/fixtures/cerem';
  const file = `${fixtures}/batch.json`;
  const rows = parsePromptedJson(readTextFile(file, 'texts'), file);
  let total = 0;
  for (const name of ['per-scale', 'no-branches']) {
    const { model, tokenizer: own } = await loadModel(runtime, `${fixtures}/${name}`, cerem);
    const { tensors } = readSafetensorsFile(`${fixtures}/${name}/expected.safetensors`);
    const [start, end] = ['start', 'end'].map((side) => tensors.get(`${side}_logits`)!);
    const { answers } = await predictAnswers(model, own, rows, what, { batchSize: 4 });
    rows.forEach(({ prompt, text }, b) => {
      const pieces = own.encode(text);
      const first = b * start.shape[1] + own.encode(prompt).length + 2;
      // By hand: from the last start on, each takes the nearest end at or after it that is left.
      const left = pieces.flatMap((_, i) => (end.data[first + i] >= 0 ? [i] : []));
      const expected = pieces.flatMap((_, back) => {
        const i = pieces.length - 1 - back;
        const at = left.findIndex((last) => last >= i);
        if (start.data[first + i] < 0 || at < 0) return [];
        const [last] = left.splice(at, 1);
        return [[pieces[i].start, pieces[last].end]];
      });
      expected.sort((x, y) => x[0] - y[0] || x[1] - y[1]);
      t.deepEqual(
        answers[b].map((answer) => [answer.start, answer.end]),
        expected,
        `${name}, ${text}`,
      );
      total += expected.length;
    });
    model.parameters.release();
  }
  t.ok(total > 10, `${total} answers`);
});

test('a long text in windows: as if it were read at once', async (t) => {
  const model = tinyModel(runtime, tokenizer, { maxLength: 24 });
  // Marks whole names, and the part of a name that a window's edge leaves.
  const names = ['青岛港', '北岸', '三艘船'];
  const rule = (_: string, text: string) => {
    const places = placesOf(text, ...names);
    for (const name of names)
      for (let cut = 1; cut < name.length; cut++) {
        if (text.endsWith(name.slice(0, cut))) places.push([text.length - cut, text.length]);
        if (text.startsWith(name.slice(cut))) places.push([0, name.length - cut]);
      }
    return places;
  };
  const seen = follow(model, tokenizer, rule);
  let windows = 0;
  for (let shift = 0; shift < 12; shift++) {
    const text = '去'.repeat(shift) + '去北岸看三艘船去青岛港看海在北岸写信'.repeat(6);
    const { answers, prompts: asked } = await predictAnswers(
      model,
      tokenizer,
      [{ prompt: '地点', text }],
      what,
      {
        overlap: 8,
      },
    );
    const expected = placesOf(text, ...names).sort((a, b) => a[0] - b[0]);
    t.deepEqual(
      answers[0].map(({ start, end }) => [start, end]),
      expected,
      `shifted by ${shift}`,
    );
    t.equal(asked, 1);
    windows = seen.flat().length;
  }
  t.ok(windows > 12 * 6, `${windows} windows`);
  model.parameters.release();
});

test('errors name the question', async (t) => {
  const model = tinyModel(runtime, tokenizer, { maxLength: 8 });
  const run = (options: PredictOptions, asked: Question[] = questions) =>
    predictAnswers(model, tokenizer, asked, what, options);
  for (const batchSize of [0, 1.5, -1])
    t.match(
      await inputError(() => run({ batchSize })),
      /^predict: batchSize must be an integer of at least 1/,
    );
  t.match(await inputError(() => run({ overlap: -1 })), /^question 1: overlap must be/);
  t.match(
    await inputError(() => run({}, [questions[0], { prompt: '小林的公司', text: '她' }])),
    /^question 2: a prompt of 5 word pieces leaves no room for the text in the model's maxLength 8$/,
  );
  t.match(
    await inputError(() => {
      const text = '林'.repeat(300_000);
      return encodeText({ prompt: '人物', text }, tokenizer, model.config, 'row 1');
    }),
    /^row 1: prompt and text make 300005 word pieces, more than the model's maxLength 8$/,
  );
  model.forward = ({ rows, columns }) => {
    const logits = runtime.upload(new Float32Array(rows * columns).fill(NaN), [rows, columns]);
    return { start: logits, end: logits };
  };
  t.equal(
    await inputError(() => run({}, [{ prompt: '人', text: '她' }])),
    'the model: logits are NaN, its weights are damaged',
  );
  model.parameters.release();
});

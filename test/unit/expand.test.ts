/** The WGSL preprocessor. */
import test from 'tape';
import { evaluate, expand, ExpandError, type Constants, type Shader } from '../../shaders/expand.ts';

/** A shader of that text, where every file of `others` includes all of them. */
function shaderOf(text: string, others: Record<string, string>): Shader {
  const includes: Shader[] = [];
  for (const [name, part] of Object.entries(others)) includes.push({ name, text: part, includes });
  return { name: 'main', text, includes };
}

/** Expands a text; lines are joined by `|`. */
const run = (text: string, constants: Constants = {}, others: Record<string, string> = {}): string =>
  expand(shaderOf(text, others), constants)
    .split('\n')
    .map((line) => line.trim())
    .join('|');

const lines = (...all: string[]): string => all.join('\n');

test('expressions', (t) => {
  const constants = { A: 7, B: 2, ZERO: 0 };
  const cases: Record<string, number> = {
    '1 + 2 * 3': 7,
    '(1 + 2) * 3': 9,
    'A / B': 3,
    'A % B': 1,
    '10 - 4 - 3': 3,
    '-A / B': -3,
    '- -A': 7,
    'A - -B': 9,
    '!A': 0,
    '!ZERO': 1,
    'A > B && B > ZERO': 1,
    'ZERO || A == 7': 1,
    '1 + 1 == 2 && 3 <= 3 && 3 >= 4': 0,
    'A != B': 1,
    'A<B': 0,
    '((A))': 7,
  };
  for (const [expression, value] of Object.entries(cases))
    t.equal(evaluate(expression, constants), value, expression);
  for (const wrong of [
    '',
    '1 +',
    '(1',
    '1 2',
    '2x',
    'A = B',
    '1.5',
    'A ? 1',
    'A / ZERO',
    'NONE',
    'constructor',
  ])
    t.throws(() => evaluate(wrong, constants), ExpandError, `"${wrong}"`);
  t.throws(() => evaluate('A + NONE', constants), /unknown constant "NONE" in "A \+ NONE"/);
  t.throws(() => evaluate('LIST', { LIST: [1, 2] }), /unknown constant "LIST"/);
  t.end();
});

test('replacement', (t) => {
  t.equal(run('let a = $N * $(N + 1)u;', { N: 4 }), 'let a = 4 * 5u;');
  t.equal(run('$(N * (N + 1))_$N', { N: 4 }), '20_4');
  t.equal(run('sum_$i: $(i)u', { i: 3 }), 'sum_3: 3u');
  t.throws(() => run('let a = $N;'), /unknown constant "N"/);
  t.throws(() => run('let a = $(((1 + 2) * (3)));'), /cannot read "let a = \$\(/, 'nested too deep');
  t.throws(() => run('let a = $;'), /cannot read "let a = \$;"/);
  t.end();
});

test('if, elif, else', (t) => {
  const text = lines(
    '#if N == 0',
    'zero',
    '#elif N == 1',
    'one',
    '#elif N > 5',
    'many',
    '#else',
    'few',
    '#endif',
    'end',
  );
  t.deepEqual(
    [0, 1, 3, 9].map((N) => run(text, { N })),
    ['zero|end', 'one|end', 'few|end', 'many|end'],
  );
  t.equal(run(lines('a', '#if N', 'b', '#endif', 'c'), { N: 0 }), 'a|c', 'without else');
  t.equal(run(lines('#if(N)', 'b', '#endif'), { N: 0 }), '', 'no space before a parenthesis');
  t.equal(run(lines('#if 0', '$UNKNOWN', '#include "none"', '#endif')), '', 'what is not taken is not read');
  t.end();
});

test('blocks in blocks', (t) => {
  const text = lines(
    '#if A',
    '  #if B',
    '  both',
    '  #else',
    '  only a',
    '  #endif',
    '#elif B',
    '  only b',
    '#else',
    '  none',
    '#endif',
  );
  t.deepEqual(
    [
      [1, 1],
      [1, 0],
      [0, 1],
      [0, 0],
    ].map(([A, B]) => run(text, { A, B })),
    ['both', 'only a', 'only b', 'none'],
  );
  const loops = lines(
    '#for i in 0..2',
    '#for j in i..3',
    '#if i != j',
    '$i$j',
    '#endif',
    '#endfor',
    '#endfor',
  );
  t.equal(run(loops), '01|02|12', 'loops whose bounds depend on the outer one');
  t.end();
});

test('loops over ranges and lists', (t) => {
  t.equal(run(lines('#for i in 0..N - 1', 'a$i', '#endfor'), { N: 4 }), 'a0|a1|a2');
  t.equal(run(lines('#for i in 2..2', 'a$i', '#endfor', 'b')), 'b', 'an empty range');
  t.equal(run(lines('#for r in SCALES', 'a$r', '#endfor'), { SCALES: [2, 3, 6] }), 'a2|a3|a6');
  t.equal(run(lines('#for r in SCALES', 'a$r', '#endfor', 'b'), { SCALES: [] }), 'b', 'an empty list');
  t.equal(
    run(lines('#for i in 0..2', '$i', '#endfor', '$i'), { i: 9 }),
    '0|1|9',
    'the variable ends with its loop',
  );
  t.throws(() => run(lines('#for i in N', '#endfor'), { N: 4 }), /"N" is neither a range nor a list/);
  t.throws(() => run(lines('#for i in NONE', '#endfor')), /"NONE" is neither a range nor a list/);
  t.throws(() => run(lines('#for i of 0..2', '#endfor')), /main: cannot read "#for i of 0..2"/);
  t.throws(() => run(lines('#for i in 0..1..2', '#endfor')), /neither a range nor a list/);
  t.end();
});

test('includes', (t) => {
  const others = {
    'common/a': lines('#include "common/b.wgsl"', 'a $N'),
    'common/b': 'b',
    'common/self': lines('#include "common/self.wgsl"', 'self'),
  };
  const text = lines(
    '#include "common/a.wgsl"',
    '#include "common/b.wgsl"',
    '#include "common/a.wgsl"',
    'end',
  );
  t.equal(run(text, { N: 1 }, others), 'b|a 1|end', 'each once, with the constants');
  const turn = lines('#for i in 0..2', '#include "common/turn.wgsl"', '#include "common/b.wgsl"', '#endfor');
  const turns = { ...others, 'common/turn': 'turn $i' };
  t.equal(run(turn, {}, turns), 'turn 0|b|turn 1|b', 'within a #for once a turn');
  t.equal(
    run(lines('#include "common/b.wgsl"', turn), {}, turns),
    'b|turn 0|turn 1',
    'what stands before it stays once',
  );
  t.equal(run('#include "common/self.wgsl"', {}, others), 'self', 'a file that includes itself');
  t.equal(run(lines('#include "main.wgsl"', 'x')), 'x', 'also the first one');
  t.throws(() => run('#include "common/none.wgsl"'), /main: no shader named "common\/none"/);
  t.end();
});

test('what is not well-formed is refused', (t) => {
  const wrong: [text: string, words: RegExp][] = [
    [lines('#if 1', 'a'), /main: "#if 1" is never closed/],
    [lines('#for i in 0..2', '#if 1', '#endif'), /main: "#for i in 0..2" is never closed/],
    [lines('#if 1', 'a', '#endfor'), /main: "#if 1" holds a stray "#endfor"/],
    [lines('#for i in 0..2', '#if 1', '#endfor', '#endif'), /holds a stray "#endfor"/],
    [lines('a', '#endif'), /unknown directive "#endif"/],
    [lines('a', '#else'), /unknown directive "#else"/],
    [lines('#for i in 0..2', '#else', '#endfor'), /unknown directive "#else"/],
    ['#define A 1', /main: unknown directive "#define"/],
    [lines('#if', '#endif'), /unknown constant "" in ""/],
    [lines('#if NONE', '#endif'), /unknown constant "NONE"/],
  ];
  for (const [text, words] of wrong) t.throws(() => run(text), words, JSON.stringify(text));
  t.end();
});

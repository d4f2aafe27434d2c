import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { philox4x32 } from '../../kernels/shared/philox.ts';
import { Random, stream } from '../../src/nn/random.ts';

const hex = (words: Uint32Array): string[] => [...words].map((w) => w.toString(16).padStart(8, '0'));

test('philox4x32 gives the published known answers', (t) => {
  t.deepEqual(
    hex(philox4x32([0, 0, 0, 0], [0, 0])),
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'],
    'zeros',
  );
  const ones = 0xffffffff;
  t.deepEqual(
    hex(philox4x32([ones, ones, ones, ones], [ones, ones])),
    ['408f276d', '41c83b0e', 'a20bc7c6', '6d5451fd'],
    'ones',
  );
  t.deepEqual(
    hex(philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])),
    ['d16cfe09', '94fdcceb', '5001e420', '24126ea1'],
    'digits of pi',
  );
  t.end();
});

test('the same names give the same draws, different names others', (t) => {
  const draws = (seed: number, ...ids: number[]): number[] => {
    const random = stream(seed, ...ids);
    return Array.from({ length: 9 }, () => random.word());
  };
  t.deepEqual(draws(7, 1, 2), draws(7, 1, 2), 'repeatable');
  const all = [draws(7), draws(7, 0), draws(7, 0, 0), draws(7, 1), draws(8), draws(7, 0, 1), draws(7, 1, 0)];
  t.equal(new Set(all.flat()).size, 9 * all.length, 'no word in common');
  t.notDeepEqual(draws(7).slice(0, 4), [...philox4x32([0, 0, 0, 0], [7, 0])], 'apart from dropout’s blocks');
  t.end();
});

test('a stream resumes from its state, at every word and in the middle of a normal pair', (t) => {
  for (let drawn = 0; drawn < 9; drawn++) {
    const random = stream(3, 5);
    for (let i = 0; i < drawn; i++) random.word();
    random.normal();
    const resumed = new Random(JSON.parse(JSON.stringify(random.state())));
    const rest = (r: Random): number[] => [r.normal(), r.normal(), r.word(), r.uniform(), r.integer(1000)];
    t.deepEqual(rest(resumed), rest(random), `after ${drawn} words and one normal`);
  }
  t.end();
});

test('moments of uniform, integer and normal', (t) => {
  const random = stream(11);
  const n = 40000;
  const mean = (values: number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  const uniforms = Array.from({ length: n }, () => random.uniform());
  t.ok(uniforms.every((u) => u >= 0 && u < 1));
  t.ok(Math.abs(mean(uniforms) - 0.5) < 0.007, 'uniform mean, 5 standard errors');
  const normals = Array.from({ length: n }, () => random.normal());
  t.ok(Math.abs(mean(normals)) < 0.025, 'normal mean');
  t.ok(Math.abs(mean(normals.map((x) => x * x)) - 1) < 0.036, 'normal variance');
  t.ok(Math.abs(mean(normals.map((x) => x ** 4)) - 3) < 0.25, 'normal kurtosis');
  t.ok(Math.abs(mean(normals.slice(1).map((x, i) => x * normals[i]))) < 0.025, 'neighbours uncorrelated');
  const counts = [0, 0, 0];
  for (let i = 0; i < n; i++) counts[random.integer(3)]++;
  t.ok(
    counts.every((c) => Math.abs(c - n / 3) < 5 * Math.sqrt((n * 2) / 9)),
    `integers even: ${counts}`,
  );
  t.end();
});

test('shuffle and sampleWithoutReplacement', (t) => {
  const random = stream(2);
  const shuffled = random.shuffle(Array.from({ length: 50 }, (_, i) => i));
  t.notDeepEqual(
    shuffled,
    [...shuffled].sort((a, b) => a - b),
    'moved',
  );
  t.equal(new Set(shuffled).size, 50, 'a permutation');
  t.deepEqual(
    random.sampleWithoutReplacement(6, 6).sort(),
    [0, 1, 2, 3, 4, 5],
    'a whole population is a permutation',
  );
  t.deepEqual(random.sampleWithoutReplacement(5, 0), []);
  const seen = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const pair = random.sampleWithoutReplacement(4, 2).join();
    seen.set(pair, (seen.get(pair) ?? 0) + 1);
  }
  t.equal(seen.size, 12, 'all 12 ordered pairs of 4');
  t.ok(
    [...seen.values()].every((c) => Math.abs(c - 500) < 110),
    `evenly: ${[...seen.values()]}`,
  );
  t.end();
});

test('bad requests are InputErrors', (t) => {
  t.throws(() => stream(-1), InputError);
  t.throws(() => stream(1.5), InputError);
  t.throws(() => stream(1, 2, 3, 4, 5), /at most 3/);
  t.throws(() => stream(1, 2 ** 32), /id 1/);
  t.throws(() => stream(1).integer(0), InputError);
  t.throws(() => stream(1).sampleWithoutReplacement(3, 4), /4 distinct of 3/);
  t.end();
});

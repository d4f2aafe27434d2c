/** What `bench table6` counts as the paper counts; needs no device. */
import test from 'tape';
import { sharedVariantsOf, variantsOf } from '../../bench/cerem.variants.ts';
import { paperMacs, table6Bench } from '../../bench/table6.bench.ts';
import { table7Bench } from '../../bench/table7.bench.ts';
import { ceremBase, countParameters } from '../../src/models/cerem.ts';

const giga = (macs: number): number => Math.round(macs / 1e6) / 1e3;

test("bench table6: multiply-adds as the paper's Table 6 counts them", (t) => {
  const macs = variantsOf(ceremBase).map(({ config }) => paperMacs(config, 256));
  const [baseline, branches, segments, both] = macs;
  t.deepEqual(
    [baseline, branches - baseline, segments - baseline, both].map(giga),
    [21.764, 1.612, 4.039, 29.843],
    'the totals of docs/spec.md#the-base-preset',
  );
  t.end();
});

test('bench table6: multiply-adds term by term', (t) => {
  const { hiddenSize: d } = ceremBase.encoder;
  const of = (change: object, tokens: number) => paperMacs({ ...ceremBase, ...change }, tokens);
  const [L, unit] = [7, 4 * d * 1024];
  const without = of({ sia: false, branches: false }, L);
  const linear = 12 * (4 * d * d + 2 * d * 3072) * L + 25 * 4 * d * L + d * d + 2 * d * L;
  t.equal(without, linear, 'encoder, pooler of one row, pointers');
  t.equal(of({ sia: false }, L) - without, 2 * L * (unit + 4 * d), 'two plain attentions');
  // Scales 2 and 9 of 7 tokens: six segments, and none.
  const softmax = 8 * L * (3 * 6 - 1);
  const one = of({ branches: false, scales: [2, 9] }, L) - without;
  t.equal(one, 2 * L * (unit + 4 * d) + 3 * d * L + softmax, 'two scales, mix, softmax');
  t.end();
});

test('bench table6: the variants in the order of the paper', (t) => {
  t.deepEqual(
    variantsOf(ceremBase).map(({ config }) => [config.sia, config.branches]),
    [
      [false, false],
      [false, true],
      [true, false],
      [true, true],
    ],
  );
  const shared = sharedVariantsOf(ceremBase);
  t.deepEqual(
    shared.map(({ name, config }) => [name, config.projections]),
    [
      ['SIA', 'shared'],
      ['IB + SIA', 'shared'],
    ],
  );
  t.ok(countParameters(shared[1].config) < countParameters(ceremBase));
  t.end();
});

test('bench table6, table7: bad options are refused before a device is opened', async (t) => {
  for (const bench of [table6Bench, table7Bench]) {
    const failure = (...args: string[]) =>
      bench.run({ json: false, full: false, args, log: () => undefined }).then(String, String);
    t.match(
      await failure('--tokens=0'),
      /^InputError: bench table[67]: --tokens must be a whole number of at least 1/,
    );
    t.match(await failure('--tokens=513'), /--tokens must be at most 512, got 513/);
    t.match(await failure('--config=nowhere.json'), /^InputError: config nowhere\.json: no such file/);
    const shared = 'test/fixtures/cerem/shared-global/config.json';
    t.match(await failure(`--config=${shared}`), /the paper's models have "projections" per-scale/);
    const albert = 'test/fixtures/albert/cerem/config.json';
    t.match(await failure(`--config=${albert}`), /the paper's models have a BERT encoder/);
  }
});

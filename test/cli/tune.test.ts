import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'tape';
import type { Tuning } from '../../src/gpu/tuning.ts';
import { expectFailure, file, folder, launched, spanwise } from './run.ts';

test('tune: measures once, keeps the answers, and commands use them', async (t) => {
  const path = join(folder, 'tuning.json');
  const first = await spanwise(['tune', '--shapes', '8x8x4', '--out', path, '--json']);
  t.equal(first.status, 0, first.stderr);
  const { file: written, ...tuning } = JSON.parse(first.stdout) as Tuning & { file: string };
  t.equal(written, path);
  t.deepEqual(JSON.parse(readFileSync(path, 'utf8')), tuning, 'the file is the document');
  t.equal(tuning.products.length, 3, 'out, grad_x, grad_weight');
  for (const { form, ms } of tuning.products) t.ok((ms[form] as number) > 0, `${form}: ${ms[form]} ms`);

  // Answers that no measurement would give, to see that they stay.
  const wider = { ...tuning.products[0], m: 16 };
  const products = [...tuning.products, wider].map((p) => ({ ...p, ms: { default: 12345 } }));
  const marked = { ...tuning, products };
  file('tuning.json', JSON.stringify(marked));
  const again = await spanwise(['tune', '--shapes', '8x8x4,16x8x4', '--out', path]);
  t.equal(again.status, 0, again.stderr);
  const kept = (JSON.parse(readFileSync(path, 'utf8')) as Tuning).products;
  t.deepEqual(kept.slice(0, 4), products, 'not measured again');
  t.equal(kept.length, 6, 'new classes are added, one of 16x8x4 is known');
  t.match(again.stdout, /12345|1\.23e\+4/, 'all in the table');

  const used = await launched(['doctor'], { env: { SPANWISE_TUNING: path } });
  t.deepEqual([used.status, used.stderr], [0, ''], 'a command takes it');
  file('tuning.json', JSON.stringify({ ...marked, device: { ...marked.device, driver: 'another' } }));
  const aside = await launched(['doctor'], { env: { SPANWISE_TUNING: path } });
  t.equal(aside.status, 0);
  t.match(
    aside.stderr,
    /^spanwise: the tuning is left aside: its device has driver "another", this one [^\n]*\n$/,
  );
});

test('tune: a run that is broken off keeps what it has measured', async (t) => {
  const path = join(folder, 'part.json');
  const { InputError, Runtime } = (await import(
    pathToFileURL('dist/spanwise-node.js').href
  )) as typeof import('../../src/node.ts');
  const { scope } = Runtime.prototype;
  let products = 0;
  Runtime.prototype.scope = function <T>(body: () => T | Promise<T>): Promise<T> {
    if (++products > 2) throw new InputError('broken off');
    return scope.call(this, body) as Promise<T>;
  };
  const { status } = await spanwise(['tune', '--shapes', '1x1x1', '--out', path]).finally(
    () => (Runtime.prototype.scope = scope),
  );
  t.equal(status, 2);
  const kept = (JSON.parse(readFileSync(path, 'utf8')) as Tuning).products;
  t.deepEqual(
    kept.map(({ ms }) => Object.keys(ms)),
    [['default'], ['default']],
    'two of three classes; of one element no larger tile is tried',
  );
});

test('tune: bad input is status 2 and one line', async (t) => {
  expectFailure(
    t,
    await spanwise(['tune', '--shapes', '8x8']),
    2,
    /tune: --shapes must be a list such as .*"8x8"/,
  );
  expectFailure(t, await spanwise(['tune', '--shapes', '8x0x8,']), 2, /"8x0x8"/);
  expectFailure(t, await spanwise(['tune', '--out', join(folder, 'none', 'F')]), 2, /there is no folder/);
  for (const shapes of ['99999x99999x1', '1x99999x99999', '999999999x999999999x999999999'])
    expectFailure(
      t,
      await spanwise(['tune', '--shapes', shapes, '--out', join(folder, 'F')]),
      2,
      /tune: "--shapes" of shape \[9?\d*,99999\d*\] has over \d+ elements, more than can be bound/,
    );
  const broken = file('broken.json', '{"version": "0.1.0", "dev');
  expectFailure(
    t,
    await spanwise(['tune', '--shapes', '8x8x4', '--out', broken]),
    2,
    /broken\.json: line 1: not JSON/,
  );
  const env = { SPANWISE_TUNING: broken };
  expectFailure(t, await launched(['doctor'], { env }), 2, /broken\.json: line 1: not JSON/);
  const missing = { SPANWISE_TUNING: join(folder, 'missing.json') };
  expectFailure(t, await launched(['doctor'], { env: missing }), 2, /tuning .*missing\.json: no such file/);
});

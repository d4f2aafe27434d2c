import test from 'tape';
import { benches } from '../../bench/index.ts';
import { spanwise } from '../cli/run.ts';

test('spanwise bench', async (t) => {
  const list = await spanwise(['bench']);
  t.equal(list.status, 0);
  const names = list.stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ')[0]);
  t.deepEqual(names, Object.keys(benches), 'lists every benchmark');

  const described = await spanwise(['bench', '--json']);
  t.deepEqual(
    JSON.parse(described.stdout),
    Object.entries(benches).map(([name, { doc }]) => ({ name, doc })),
    'and as one JSON document',
  );

  const unknown = await spanwise(['bench', 'nothing']);
  t.equal(unknown.status, 2);
  t.match(unknown.stderr, /^spanwise: bench: there is no benchmark "nothing" \(there are: linear, .*\)\n$/);

  const surplus = await spanwise(['bench', 'soak', '--epochs', '3']);
  t.equal(surplus.status, 2, 'an option of another benchmark');
  t.match(surplus.stderr, /^spanwise: bench soak: .*--epochs/);

  for (const args of [
    ['soak', '--full'],
    ['kernels', '--full'],
    ['linear', '--data', 'corpora/expeditions'],
  ]) {
    const refused = await spanwise(['bench', ...args]);
    t.equal(refused.status, 2, args.join(' '));
    t.match(refused.stderr, /^spanwise: bench: --(full|data) does not go with [a-z]+ /);
  }

  const seeds = await spanwise(['bench', 'stsn', '--seeds', '1,x']);
  t.equal(seeds.status, 2);
  t.match(seeds.stderr, /--seeds must be whole numbers/);

  const only = await spanwise(['bench', 'kernels', '--only', 'nothing']);
  t.equal(only.status, 2);
  t.match(only.stderr, /--only names "nothing", which is not one of linear, /);
});

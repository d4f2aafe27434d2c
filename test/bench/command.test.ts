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

  const refused = await spanwise(['bench', 'linear', '--data', 'corpora/expeditions']);
  t.equal(refused.status, 2, '--data where no corpus is read');
  t.match(refused.stderr, /^spanwise: bench: --data does not go with linear /);

  const only = await spanwise(['bench', 'kernels', '--only', 'nothing']);
  t.equal(only.status, 2);
  t.match(only.stderr, /--only names "nothing", which is not one of linear, /);
});

test('spanwise bench NAME --full: every benchmark takes it', async (t) => {
  // What is refused is the benchmark's own next option, before any device is opened.
  for (const name of Object.keys(benches)) {
    const { status, stderr } = await spanwise(['bench', name, '--full', '--seeds', '1,x']);
    t.equal(status, 2, name);
    const trains = ['stsn', 'cerem'].includes(name);
    t.match(
      stderr,
      new RegExp(`^spanwise: bench ${name}: .*--seeds${trains ? ' must be whole numbers' : ''}.*\n$`),
    );
  }
});

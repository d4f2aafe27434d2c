import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { Manifest } from '../../kernels/index.ts';
import { unpackSoftwareDevice } from '../../src/gpu/software.ts';
import { expectFailure, file, folder, launched, spanwise } from './run.ts';

const json = <T>(...path: string[]): T => JSON.parse(readFileSync(join(folder, ...path), 'utf8')) as T;

test('a kernel leaves as a folder that a runner of its own executes', async (t) => {
  const out = join(folder, 'out');
  const shapes = '{"q":[1,5,8],"k":[1,5,8],"v":[1,5,8],"lengths":[4],"weights":[2]}';
  const params = '{"heads":2,"scales":[1,3]}';
  const caps = file('caps.json', '{"software":true}');
  const options = ['--shapes', shapes, '--params', params, '--caps', caps, '--grad', '--out', out];
  const { status, stdout, stderr } = await spanwise(['kernel', 'export', 'segment-attention', ...options]);
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' });
  t.match(stdout, /segment-attention\/manifest\.json +\d+ +\d+\n$/);
  const manifest = json<Manifest>('out', 'segment-attention', 'manifest.json');
  t.deepEqual(
    manifest.parts.map(({ name }) => name),
    ['forward', 'backward'],
  );
  t.deepEqual(manifest.parts[0].host, [{ name: 'lengths', shape: [1], values: [4] }]);
  t.deepEqual(
    json('out', 'manifest.schema.json'),
    JSON.parse(readFileSync('docs/manifest.schema.json', 'utf8')),
  );
  const index = json<{ manifests: unknown[] }>('out', 'index.json');
  t.deepEqual(index.manifests, [
    {
      kernel: 'segment-attention',
      manifest: 'segment-attention/manifest.json',
      shapes: { q: [1, 5, 8], k: [1, 5, 8], v: [1, 5, 8], lengths: [1], weights: [2] },
      params: { heads: 2, scales: [1, 3] },
    },
  ]);

  // The runner finds the software driver as it would a system's.
  const driver = unpackSoftwareDevice();
  const env = { ...process.env, LD_LIBRARY_PATH: driver, VK_ICD_FILENAMES: join(driver, 'icd.json') };
  const args = ['examples/runner/run.mjs', join(out, 'segment-attention')];
  const run = spawnSync(process.execPath, args, { env, encoding: 'utf8', timeout: 240_000 });
  t.equal(run.status, 0, run.stderr);
  for (const name of [
    'forward.out',
    'backward.grad_q',
    'backward.grad_k',
    'backward.grad_v',
    'backward.grad_weights',
  ])
    t.ok(
      run.stdout.split('\n').some((line) => line.includes(`  ${name}  `) && line.endsWith('agrees')),
      name,
    );
});

test('several shapes make several manifests, vectors can be left out', async (t) => {
  const out = join(folder, 'buckets');
  const shapes = '[{"x":[2,8]},{"x":[2,16]}]';
  const args = ['softmax', '--shapes', shapes, '--no-vectors', '--out', out];
  t.equal((await spanwise(['kernel', 'export', ...args])).status, 0);
  t.ok(existsSync(join(out, 'softmax', '1', 'softmax.wgsl')));
  t.deepEqual(json<Manifest>('buckets', 'softmax', '2', 'manifest.json').parts[0].inputs[0].shape, [2, 16]);
  t.notOk(existsSync(join(out, 'softmax', '1', 'vectors.safetensors')));
});

test('an export over an earlier one leaves nothing of it', async (t) => {
  const out = join(folder, 'again');
  const args = ['kernel', 'export', 'softmax', '--shapes', '{"x":[2,8]}', '--out', out];
  t.equal((await spanwise([...args, '--grad'])).status, 0);
  const own = join(out, 'softmax');
  writeFileSync(join(own, 'notes.txt'), 'of somebody else');
  t.ok(readdirSync(own).includes('vectors.safetensors'));
  t.equal((await spanwise([...args, '--no-vectors'])).status, 0);
  t.deepEqual(readdirSync(own).sort(), ['manifest.json', 'notes.txt', 'softmax.wgsl']);
});

test('an export keeps what no earlier one wrote', async (t) => {
  const model = join(folder, 'model');
  cpSync('test/fixtures/stsn/both', model, { recursive: true });
  const before = readdirSync(model);
  const args = ['export', '--model', model, '--length', '8', '--out', model];
  for (const run of [1, 2]) {
    t.equal((await spanwise(args)).status, 0);
    t.deepEqual(
      before.filter((name) => !existsSync(join(model, name))),
      [],
      `every file of the model is there after export ${run}`,
    );
  }
  const page = join(folder, 'page');
  const kernel = ['kernel', 'export', 'softmax', '--shapes', '{"x":[2]}', '--out', page];
  for (const [name, text] of [
    ['softmax/manifest.json', '{"name":"a page"}'],
    ['softmax/softmax.wgsl', 'of somebody else'],
    ['index.json', '{"pages":[]}'],
  ]) {
    rmSync(page, { recursive: true, force: true });
    mkdirSync(join(page, 'softmax'), { recursive: true });
    writeFileSync(join(page, name), text);
    const line = new RegExp(`page/${name}: is (of )?no .*earlier export; choose another folder`);
    expectFailure(t, await spanwise(kernel), 2, line);
    t.equal(readFileSync(join(page, name), 'utf8'), text);
    t.equal(readdirSync(page, { recursive: true }).length, 2, 'nothing is added');
  }
});

test('what cannot be exported is told in one line', async (t) => {
  const out = join(folder, 'none');
  const bad: [args: string[], says: RegExp][] = [
    [['softmaks'], /there is no kernel "softmaks"/],
    [['span-enumerate', '--grad'], /--grad: span-enumerate has no gradient/],
    [['softmax', 'add', '--shapes', '{}'], /--shapes needs one NAME/],
    [['softmax', '--params', '{}'], /--params needs --shapes/],
    [['softmax', '--shapes', '[1]'], /--shapes must be a JSON object or a list of them/],
    [['softmax', '--shapes', '{"x":[2],"y":[1]}'], /"y" is not an input/],
    [['softmax', '--shapes', '{}'], /softmax: input "x" is missing/],
    [['embedding', '--shapes', '{"ids":[4294967297],"table":[4,4]}'], /"ids" takes its integers of 32 bits/],
    [['softmax', '--caps', join(folder, 'nowhere.json')], /nowhere\.json/],
    [
      ['softmax', '--caps', file('a.json', '{"maxBufferSize":"big"}')],
      /a\.json: "maxBufferSize" must be a number such as/,
    ],
    [['softmax', '--caps', file('b.json', '{"maxBufers":1}')], /b\.json: "maxBufers" is no capability/],
    [['softmax', '--caps', file('c.json', '{')], /c\.json: line 1: not JSON/],
  ];
  for (const [args, says] of bad) {
    const { status, stderr } = await spanwise(['kernel', 'export', ...args, '--out', out]);
    t.equal(status, 2, args.join(' '));
    t.match(stderr, says);
    t.equal(stderr.trimEnd().split('\n').length, 1);
  }
  t.notOk(existsSync(out), 'nothing is written');
  const inTheWay = await spanwise([
    'kernel',
    'export',
    'sum',
    '--no-vectors',
    '--out',
    file('in-the-way', ''),
  ]);
  t.equal(inTheWay.status, 2);
  t.match(inTheWay.stderr, /^spanwise: [^\n]*in-the-way[^\n]* (is not a folder|is a file, not a folder)\n$/);
});

test('a folder where none can be made', { skip: !existsSync('/proc/self') }, async (t) => {
  // In a process: Node's own way to make it never returns there.
  const args = ['kernel', 'export', 'sum', '--shapes', '{"x":[2]}', '--out', '/proc/spanwise/out'];
  const line = /\/proc\/spanwise\/out\/sum: (no such file or folder|permission denied)/;
  expectFailure(t, await launched(args), 2, line);
});

test('a shown plan has its host tables and what is in place', async (t) => {
  const shapes = '{"param":[8],"grad":[8],"m":[8],"v":[8]}';
  const args = ['adamw', '--shapes', shapes, '--params', '{"lr":0.1,"step":1}', '--json'];
  const { stdout } = await spanwise(['kernel', 'show', ...args]);
  const { forward } = (JSON.parse(stdout) as { plans: { forward: Record<string, unknown> } }).plans;
  t.deepEqual(forward.inPlace, { param: 'param', m: 'm', v: 'v' });
  t.deepEqual((forward.data as { runs: number[] }).runs.slice(0, 3), [0, 0, 2]);
});

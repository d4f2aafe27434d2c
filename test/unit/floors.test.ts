/** The house rules that a program can check: who imports whom, one stem per kernel, sizes, where WGSL lives. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import test from 'tape';
import { kernels } from '../../kernels/index.ts';

/** The floors, lowest first: a file imports from its own floor and those below it. */
const floors = [
  'shaders',
  'kernels',
  'kernels/reference',
  'src/io',
  'src/gpu',
  'src/gate',
  'src/ops',
  'src/nn',
  'src/optim',
  'src/models',
  'src/plots',
  'src/tasks',
  'src/index.ts',
  'src/node.ts',
  'src/cli',
];

/** What a floor may import from packages and Node; below src/ nothing, so that kernels run anywhere. */
const outside: Readonly<Record<string, RegExp>> = {
  shaders: /^$/,
  kernels: /^$/,
  'kernels/reference': /^$/,
  'src/gate': /^$/,
  'src/ops': /^$/,
  'src/nn': /^$/,
  'src/optim': /^$/,
  'src/models': /^$/,
  'src/plots': /^$/,
  'src/index.ts': /^$/,
  'src/io': /^node:/,
  'src/gpu': /^node:/,
  'src/tasks': /^(node:|@huggingface\/tokenizers$)/,
  'src/node.ts': /^(node:|webgpu$)/,
  'src/cli': /^node:/,
};

/** Files of src/ that are for Node alone; no other file of the browser-safe floors may import from Node. */
const nodeOnly = /^src\/(gpu\/software|io\/files|io\/make-folders)\.ts$/;

/** The files that compare with the references, or let others do so: what computes a result has no need of them. */
const comparesWithReferences = ['src/ops/verify-kernel.ts', 'src/cli/kernel-export.ts'];

/** Kernels whose WGSL has the stem of another. */
const builtFrom: Readonly<Record<string, string>> = {
  add: 'elementwise',
  mul: 'elementwise',
  scale: 'elementwise',
  split: 'concat',
  sum: 'column-sum',
  linear: 'matmul',
  'graph-convolution': 'matmul',
};

function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

const read = (path: string): string => readFileSync(path, 'utf8');
const lineCount = (path: string): number => read(path).trimEnd().split('\n').length;

/** The floor of a file: the longest entry that its path begins with; -1 for a file outside all. */
function floorOf(path: string): number {
  const under = floors.map((floor) => path === floor || path.startsWith(`${floor}/`));
  return floors.reduce(
    (best, floor, i) => (under[i] && floor.length > (floors[best]?.length ?? 0) ? i : best),
    -1,
  );
}

/** Every module that a file names in an import or export, types included. */
function importsOf(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '');
  return [...code.matchAll(/(?<!')\b(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]);
}

/** What is wrong with one import, or undefined. */
function problem(file: string, target: string): string | undefined {
  const floor = floorOf(file);
  if (!target.startsWith('.')) {
    if (!outside[floors[floor]].test(target)) return `${file} imports ${target}`;
    const browserSafe = floors.indexOf('src/tasks') > floor;
    if (browserSafe && target.startsWith('node:') && !nodeOnly.test(file)) return `${file} imports ${target}`;
    return undefined;
  }
  const path = normalize(join(dirname(file), target));
  if (path === 'package.json') return undefined;
  if (
    path.startsWith('kernels/reference/') &&
    file.startsWith('src/') &&
    !comparesWithReferences.includes(file)
  )
    return `${file} imports ${path}`;
  const below = floorOf(path);
  return below < 0 || below > floor ? `${file} imports ${path}` : undefined;
}

const sources = ['shaders', 'kernels', 'src'].flatMap((folder) => filesBelow(folder, '.ts'));

/** A path of imports that ends where it began, types included, or undefined. `imports`: what each file imports. */
function circleIn(imports: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const target of imports.get(file) ?? []) {
      const circle = visit(target);
      if (circle) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of imports.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return undefined;
}

test('a folder imports only from those below it', (t) => {
  t.ok(sources.length > 80, `${sources.length} files`);
  t.deepEqual(
    sources.filter((file) => floorOf(file) < 0),
    [],
    'every file is on a floor',
  );
  const problems = sources.flatMap((file) =>
    importsOf(read(file)).flatMap((target) => problem(file, target) ?? []),
  );
  t.deepEqual(problems, []);
  t.end();
});

test('no file imports itself by way of others', (t) => {
  const imports = sources.map((file): [string, string[]] => [
    file,
    importsOf(read(file)).map((target) => normalize(join(dirname(file), target))),
  ]);
  t.equal(circleIn(new Map(imports))?.join(' → '), undefined, `${sources.length} files`);
  const circle = { a: ['b', 'c'], b: [], c: ['d'], d: ['b', 'c'] };
  t.deepEqual(circleIn(new Map(Object.entries(circle))), ['c', 'd', 'c'], 'the check can fail');
  t.end();
});

test('the check of imports can fail', (t) => {
  const text = [
    "import { a } from '../src/gpu/runtime.ts';",
    "import type { B } from './plan.ts';",
    "import {\n  c,\n} from '../shaders/expand.ts';",
    "export * from './reference/index.ts';",
    "const d = await import('node:fs');",
    "/** from 'comments' */",
    "const e = args.optional('from'), f = 'x';",
  ].join('\n');
  const found = importsOf(text);
  t.deepEqual(found, [
    '../src/gpu/runtime.ts',
    './plan.ts',
    '../shaders/expand.ts',
    './reference/index.ts',
    'node:fs',
  ]);
  t.deepEqual(
    found.map((target) => problem('kernels/x.ts', target) !== undefined),
    [true, false, false, true, true],
  );
  t.ok(problem('src/gpu/runtime.ts', 'node:fs'), 'the browser-safe part imports nothing from Node');
  t.ok(problem('src/gpu/x.ts', '../../bench/index.ts'), 'nothing imports from outside the floors');
  t.ok(
    problem('src/nn/x.ts', '../../kernels/reference/math.ts'),
    'what computes a result needs no reference',
  );
  t.end();
});

test('every kernel has its WGSL and its tests under its own name', (t) => {
  for (const name of Object.keys(kernels)) {
    const stem = builtFrom[name] ?? name;
    t.ok(existsSync(`shaders/${stem}.wgsl`), `${name}: shaders/${stem}.wgsl`);
    t.ok(existsSync(`test/kernels/${name}.test.ts`), `${name}: test/kernels/${name}.test.ts`);
  }
  for (const name of Object.keys(builtFrom)) t.ok(name in kernels, `${name} is still a kernel`);
  t.end();
});

test('every WGSL file begins with what it computes, its grid and its outputs', (t) => {
  for (const file of filesBelow('shaders', '.wgsl')) {
    if (file.startsWith('shaders/common/')) continue;
    const header = /^(\/\/ .*\n)+/.exec(read(file))?.[0] ?? '';
    t.ok(/\bGrid: /.test(header) && /\bOutputs?: /.test(header), file);
  }
  t.end();
});

test('files stay small', (t) => {
  for (const file of filesBelow('shaders', '.wgsl'))
    if (lineCount(file) > 250) t.fail(`${file} has ${lineCount(file)} lines, over 250`);
  const all = ['shaders', 'kernels', 'src', 'test', 'bench', 'examples'].filter((folder) =>
    existsSync(folder),
  );
  for (const file of all.flatMap((folder) => filesBelow(folder, '.ts')))
    if (lineCount(file) > 600) t.fail(`${file} has ${lineCount(file)} lines, over 600`);
  t.pass(all.join(', '));
  t.end();
});

test('WGSL lives in .wgsl files alone', (t) => {
  const words = /@compute\b|@group\(|@binding\(|\bvar<\w+|workgroupBarrier|@workgroup_size|\barray<[fiu]32/;
  t.ok(words.test('var<storage, read> x'), 'the check can fail');
  const readsWgsl = 'kernels/manifest/declarations.ts';
  for (const file of sources.filter((source) => source !== readsWgsl)) {
    const text = read(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    if (words.test(text)) t.fail(`${file} holds WGSL: ${words.exec(text)?.[0]}`);
  }
  t.pass(`${sources.length} files`);
  t.end();
});

/** What bundlers make of the package's files, and that it stays small. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import test from 'tape';
import { defaultCaps, kernels, wgslOf, type Kernel, type Plan } from '../../kernels/index.ts';

type Exports = Readonly<Record<string, string | null | Readonly<Record<string, string>>>>;
const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: Exports };

/** The file that a bundler for browsers, or Node, finds under a name of the package. */
function fileOf(name: string, condition = 'default'): string {
  const subpath = name.replace(/^spanwise/, '.');
  const [key, rest] = subpath.startsWith('./kernels/')
    ? ['./kernels/*', subpath.slice('./kernels/'.length)]
    : [subpath, ''];
  return resolve((exports[key] as Readonly<Record<string, string>>)[condition].replace('*', rest));
}

/** A program that imports from the package, bundled and minified for a browser. */
async function bundled(program: string): Promise<{ code: string; files: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: program.replace(/'(spanwise[^']*)'/g, (_, name: string) => `'${fileOf(name)}'`),
      ...{ resolveDir: resolve('.'), loader: 'js' },
    },
    ...{ bundle: true, minify: true, write: false, metafile: true },
    ...{ format: 'esm', platform: 'browser', logLevel: 'silent', external: ['@huggingface/tokenizers'] },
  });
  const [{ inputs }] = Object.values(metafile.outputs);
  const files = Object.entries(inputs).flatMap(([file, part]) => (part.bytesInOutput > 0 ? [file] : []));
  return { code: outputFiles[0].text, files };
}

const load = async <T>(code: string): Promise<T> =>
  (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as T;
const gzipped = (code: string): number => gzipSync(code).length;

test('errors keep their names when they are minified', async (t) => {
  const { code } = await bundled(
    "export { DeviceLostError, InputError, OutOfMemoryError, ShaderError, SpanwiseError } from 'spanwise';",
  );
  const errors = await load<Record<string, new (message: string) => Error>>(code);
  t.equal(Object.keys(errors).length, 5);
  for (const [name, Made] of Object.entries(errors)) {
    t.notEqual(Made.name, name, 'the class is renamed');
    t.equal(new Made('words').name, name);
    t.equal(String(new Made('words')), `${name}: words`);
  }
});

test('what is a name of the package is there in Node too', (t) => {
  const folders = readdirSync('kernels', { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const inner of ['index', ...folders.map(({ name }) => `${name}/*`)])
    t.equal(exports[`./kernels/${inner}`], null, inner);
  t.equal(exports['./package.json'], './package.json');
  t.end();
});

test('an import of nothing leaves nothing', async (t) => {
  t.equal((await bundled("import 'spanwise'; import 'spanwise/kernels';")).code.trim(), '');
});

/**
 * Bytes of a minified bundle of one kernel with its gradient, its WGSL and what specialises that. Those with a matrix
 * product hold all its forms.
 */
const most: Readonly<Record<string, number>> = {
  adamw: 13_500,
  add: 12_000,
  attention: 85_000,
  'binary-cross-entropy': 28_000,
  'clip-grad-norm': 18_000,
  'column-sum': 14_000,
  concat: 12_000,
  'context-attention': 88_000,
  'cross-entropy': 22_000,
  dropout: 14_000,
  embedding: 18_000,
  'gaussian-kl': 64_000,
  'graph-adjacency': 14_000,
  'graph-convolution': 60_000,
  gru: 84_000,
  'layer-norm': 28_000,
  linear: 56_000,
  lstm: 84_000,
  mul: 12_000,
  'range-max-pool': 17_000,
  scale: 12_000,
  'segment-attention': 112_000,
  'sliding-average-pool': 20_000,
  softmax: 12_000,
  'span-enumerate': 12_000,
  'span-representation': 20_000,
  'span-score': 63_000,
  split: 12_000,
  sum: 14_000,
  'visibility-attention': 37_000,
  'weighted-sum': 18_000,
};

test('one kernel brings its own WGSL and no other', async (t) => {
  t.deepEqual(Object.keys(most), Object.keys(kernels), 'every kernel has its budget');
  for (const name of Object.keys(kernels)) {
    const program = `export * from 'spanwise/kernels/${name}'; export { wgslOf } from 'spanwise/kernels';`;
    const { code, files } = await bundled(program);
    const size = Buffer.byteLength(code);
    t.ok(size <= most[name], `${name}: ${size} of ${most[name]} bytes, ${gzipped(code)} gzipped`);
    t.notOk(files.includes('dist/modules/kernels/index.js'), `${name}: the registry is left out`);
    if (name !== 'softmax') continue;
    const wgsl = files.filter((file) => file.startsWith('dist/modules/shaders/') && !file.includes('expand'));
    const own = ['common/grid', 'common/nan', 'common/reduce', 'softmax', 'softmax-backward'];
    t.deepEqual(wgsl.map((file) => file.slice('dist/modules/shaders/'.length, -'.js'.length)).sort(), own);
    const made = await load<{ softmax: Kernel; wgslOf: typeof wgslOf }>(code);
    const request = { shapes: { x: [2, 3] }, params: {}, caps: defaultCaps, host: {} };
    const texts = (plan: Plan, of: typeof wgslOf) => plan.dispatches.map(of);
    t.deepEqual(texts(made.softmax.plan(request), made.wgslOf), texts(kernels.softmax.plan(request), wgslOf));
  }
});

test('every subpath gives the kernel of its name', async (t) => {
  for (const condition of ['default', 'node']) {
    const registry = (await import(fileOf('spanwise/kernels', condition))) as { kernels: typeof kernels };
    for (const [name, kernel] of Object.entries(registry.kernels)) {
      const given: object = await import(fileOf(`spanwise/kernels/${name}`, condition));
      t.ok(Object.values(given).includes(kernel), `${name}, ${condition}`);
    }
  }
});

test('one operation with runtime and tape is at most 35 kB gzipped', async (t) => {
  const { code, files } = await bundled(
    "export { linear, openDevice, record, Runtime } from 'spanwise'; // all that a page needs to train a layer",
  );
  t.ok(gzipped(code) <= 35_000, `${gzipped(code)} bytes gzipped, ${code.length} minified`);
  t.notOk(files.some((file) => /kernels.(index|all|softmax)\.js$/.test(file)));
});

test('no script names a map that is not shipped', (t) => {
  const scripts = readdirSync('dist/modules', { recursive: true, encoding: 'utf8' })
    .map((name) => join('dist/modules', name))
    .concat(
      ['dist', 'dist/kernels', 'dist/chunks'].flatMap((folder) =>
        readdirSync(folder).map((name) => join(folder, name)),
      ),
    )
    .filter((path) => path.endsWith('.js'));
  t.ok(scripts.length > 100);
  // A script of an earlier build may lie beside them for a minute.
  const named = scripts.filter((path) => /\/\/# sourceMappingURL=/.test(textOf(path)));
  t.deepEqual(named, []);
  t.end();
});

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // removed meanwhile by a build beside it
  }
}

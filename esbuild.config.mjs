// Builds dist/: the library (browser-safe), its Node entry, the kernels, all and one by one, the command line, and with
// `--tests` every test file. WGSL travels as text.
import { build } from 'esbuild';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const at = process.argv.indexOf('--tests');
/** With `--tests FOLDER NAME…`: the test files whose path contains a NAME (all without one), into FOLDER. */
const tests = at < 0 ? undefined : { folder: process.argv[at + 1], names: process.argv.slice(at + 2) };

/** Every file below `folder` that ends in `ending`. */
function filesBelow(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

/**
 * A .wgsl file is a module of its own that imports those it includes: a bundle holds the text of what it runs, without the
 * lines of comments, which no minifier takes from a string.
 */
const wgsl = {
  name: 'wgsl',
  setup(plugin) {
    plugin.onLoad({ filter: /\.wgsl$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8').replace(/^[ \t]*\/\/.*\n/gm, '');
      const included = [...new Set([...text.matchAll(/^\s*#include "(.*)"$/gm)].map(([, file]) => file))];
      const imports = included.map(
        (file, i) => `import i${i} from ${JSON.stringify(resolve('shaders', file))};`,
      );
      const name = relative('shaders', path)
        .replaceAll('\\', '/')
        .replace(/\.wgsl$/, '');
      const includes = included.map((_, i) => `i${i}`);
      const shader = `{ name: ${JSON.stringify(name)}, text: ${JSON.stringify(text)}, includes: [${includes}] }`;
      return { contents: `${imports.join('')}export default ${shader};`, resolveDir: resolve('shaders') };
    });
  },
};

/** Each file a module of its own, for bundlers: what nothing of a file is used of, they leave out. */
const fileByFile = {
  name: 'file-by-file',
  setup(plugin) {
    plugin.onResolve({ filter: /\.(ts|wgsl)$/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point') return undefined;
      const target = /^\.{1,2}\//.test(path) ? path : `./${relative(dirname(importer), path)}`;
      return {
        path: target.replaceAll('\\', '/').replace(/\.(ts|wgsl)$/, '.js'),
        external: true,
        sideEffects: false,
      };
    });
  },
};

/** `all-kernels`: every file of kernels/ as a whole, by a number: a Node script of each in a few chunks that all share. */
const allKernels = (files) => ({
  name: 'all-kernels',
  setup(plugin) {
    plugin.onResolve({ filter: /^all-kernels$/ }, ({ path }) => ({ path, namespace: path }));
    plugin.onLoad({ filter: /.*/, namespace: 'all-kernels' }, () => ({
      contents: files.map((file, i) => `export * as k${i} from ${JSON.stringify(`./${file}`)};`).join('\n'),
      resolveDir: resolve('.'),
    }));
  },
});

/** The files that some lead to by what they import. `inputs`: esbuild's account of all of them. */
function reachedFrom(files, inputs) {
  const reached = new Set(files);
  for (const file of reached)
    for (const { path, external } of inputs[file].imports) if (!external) reached.add(path);
  return [...reached];
}

/** What was written less than this before a build may be in use: by a process beside it, or a build. */
const GRACE_MS = 60_000;

/** Removes scripts and maps of earlier builds from dist/ and its folders: those not in `kept` and older than `before`. */
function removeStale(kept, before) {
  const below = ['chunks', 'kernels', 'modules'].flatMap((folder) => filesBelow(`dist/${folder}`, ''));
  for (const path of [...readdirSync('dist').map((name) => `dist/${name}`), ...below]) {
    if (kept.has(path) || !/\.js(\.map)?$/.test(path)) continue;
    const status = statSync(path, { throwIfNoEntry: false });
    if (status?.isFile() && status.mtimeMs < before) rmSync(path, { force: true });
  }
}

const common = {
  bundle: true,
  format: 'esm',
  target: 'node20',
  plugins: [wgsl],
  splitting: true,
  // Beside the scripts, which do not name them: they are not shipped.
  sourcemap: 'external',
  logLevel: 'warning',
  external: ['webgpu', '@huggingface/tokenizers', 'tape', 'benchmark', 'wgsl_reflect', 'gpu.js', 'esbuild'],
};

if (tests) {
  await build({
    ...common,
    platform: 'node',
    entryPoints: filesBelow('test', '.test.ts').filter(
      (file) => !tests.names.length || tests.names.some((name) => file.includes(name)),
    ),
    outbase: 'test',
    outdir: tests.folder,
    chunkNames: 'chunks/[name]-[hash]',
  });
} else {
  const kernelFiles = filesBelow('kernels', '.ts').filter((file) =>
    /^kernels.[^/\\]+(?<!index)\.ts$/.test(file),
  );
  const entries = {
    spanwise: 'src/index.ts',
    kernels: 'kernels/index.ts',
    'spanwise-node': 'src/node.ts',
    cli: 'src/cli/bin.ts',
    bench: 'bench/index.ts',
  };
  const present = Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file)));
  const started = Date.now();
  const options = {
    ...common,
    metafile: true,
    platform: 'neutral',
    external: [...common.external, 'node:*'],
  };
  const scripts = await build({
    ...options,
    entryPoints: { ...present, 'all-kernels': 'all-kernels' },
    plugins: [wgsl, allKernels(kernelFiles)],
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
  });
  const reached = reachedFrom(['src/index.ts', 'kernels/index.ts', ...kernelFiles], scripts.metafile.inputs);
  const modules = await build({
    ...options,
    entryPoints: reached.filter((file) => !file.endsWith('.json')),
    plugins: [wgsl, fileByFile],
    splitting: false,
    sourcemap: false,
    outbase: '.',
    outdir: 'dist/modules',
  });
  const made = [scripts, modules].flatMap(({ metafile }) => Object.keys(metafile.outputs));
  mkdirSync('dist/kernels', { recursive: true });
  kernelFiles.forEach((file, i) => {
    const script = file.replaceAll('\\', '/').replace(/\.ts$/, '.js');
    const names = modules.metafile.outputs[`dist/modules/${script}`].exports;
    const text = `import { k${i} } from '../all-kernels.js';\nexport const { ${names.join(', ')} } = k${i};\n`;
    writeFileSync(`dist/${script}`, text);
    made.push(`dist/${script}`);
  });
  removeStale(new Set(made), started - GRACE_MS);
}

// Builds dist/: the library (browser-safe), its Node entry, the kernels alone, the command line, and with
// `--tests` every test file. WGSL travels as text.
import { build } from 'esbuild';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

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

/** `shaders:all`: the text of every WGSL file below shaders/, by its path without the extension. */
const shaders = {
  name: 'shaders',
  setup(plugin) {
    plugin.onResolve({ filter: /^shaders:all$/ }, () => ({ path: 'all', namespace: 'shaders' }));
    plugin.onLoad({ filter: /.*/, namespace: 'shaders' }, () => {
      const files = filesBelow('shaders', '.wgsl').sort();
      const name = (file) =>
        relative('shaders', file)
          .replaceAll('\\', '/')
          .replace(/\.wgsl$/, '');
      const texts = Object.fromEntries(files.map((file) => [name(file), readFileSync(file, 'utf8')]));
      return {
        contents: JSON.stringify(texts),
        loader: 'json',
        watchFiles: files.map((file) => resolve(file)),
      };
    });
  },
};

/** What was written less than this before a build may be in use: by a process beside it, or a build. */
const GRACE_MS = 60_000;

/** Removes scripts and maps of earlier builds from dist/ and dist/chunks/: those not in `kept` and older than `before`. */
function removeStale(kept, before) {
  for (const folder of ['dist', 'dist/chunks'])
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      const path = `${folder}/${name}`;
      if (kept.has(path) || !/\.js(\.map)?$/.test(name)) continue;
      const status = statSync(path, { throwIfNoEntry: false });
      if (status?.isFile() && status.mtimeMs < before) rmSync(path, { force: true });
    }
}

const common = {
  bundle: true,
  format: 'esm',
  target: 'node20',
  plugins: [shaders],
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
  const entries = {
    spanwise: 'src/index.ts',
    kernels: 'kernels/index.ts',
    'spanwise-node': 'src/node.ts',
    cli: 'src/cli/bin.ts',
    bench: 'bench/index.ts',
  };
  const present = Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file)));
  const started = Date.now();
  const { metafile } = await build({
    ...common,
    metafile: true,
    platform: 'neutral',
    external: [...common.external, 'node:*'],
    entryPoints: present,
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
  });
  removeStale(new Set(Object.keys(metafile.outputs)), started - GRACE_MS);
}

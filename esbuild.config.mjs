// Builds dist/: the library (browser-safe), its Node entry, the kernels alone, the command line, and with
// `--tests` every test file. WGSL files are imported as text.
import { build } from 'esbuild';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const tests = process.argv.includes('--tests');

/** Every file below `folder` that ends in `ending`. */
function filesBelow(folder, ending) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return filesBelow(path, ending);
    return entry.name.endsWith(ending) ? [path] : [];
  });
}

const common = {
  bundle: true,
  format: 'esm',
  target: 'node20',
  loader: { '.wgsl': 'text' },
  splitting: true,
  sourcemap: true,
  logLevel: 'warning',
  external: ['webgpu', '@huggingface/tokenizers', 'tape', 'benchmark', 'wgsl_reflect', 'gpu.js'],
};

if (tests) {
  rmSync('dist/test', { recursive: true, force: true });
  await build({
    ...common,
    platform: 'node',
    entryPoints: filesBelow('test', '.test.ts'),
    outbase: 'test',
    outdir: 'dist/test',
    chunkNames: 'chunks/[name]-[hash]',
  });
} else {
  const entries = {
    spanwise: 'src/index.ts',
    kernels: 'kernels/index.ts',
    'spanwise-node': 'src/node.ts',
    cli: 'src/cli/main.ts',
  };
  const present = Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file)));
  await build({
    ...common,
    platform: 'neutral',
    external: [...common.external, 'node:*'],
    entryPoints: present,
    outdir: 'dist',
    chunkNames: 'chunks/[name]-[hash]',
  });
}

/** Bundles the suite, once for all engines: one module that imports nothing. */
import { join } from 'node:path';
import { packageRoot } from '../../src/cli/package-root.ts';

/** Writes the module to `file`. Errors: esbuild's; the package must be built. */
export async function buildSuite(file: string): Promise<void> {
  const { build } = await import('esbuild');
  const root = packageRoot();
  await build({
    entryPoints: [join(root, 'bench', 'engines', 'bundle.js')],
    outfile: file,
    ...{ bundle: true, format: 'esm', platform: 'browser', target: 'es2022', logLevel: 'warning' },
    loader: { '.json': 'binary', '.safetensors': 'binary', '.txt': 'binary' },
    plugins: [
      {
        name: 'the package as it is built, with the texts of its shaders',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/src\/index\.ts$/ }, () => ({
            path: join(root, 'dist', 'modules', 'src', 'index.js'),
          })),
      },
    ],
  });
}

/** What bundlers make of the package's files. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'esbuild';
import test from 'tape';

/** A program over the built files, bundled and minified for a browser. */
async function bundled(program: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: program, resolveDir: resolve('.'), loader: 'js' },
    ...{ bundle: true, minify: true, write: false, format: 'esm', platform: 'browser', logLevel: 'silent' },
  });
  return outputFiles[0].text;
}

test('errors keep their names when they are minified', async (t) => {
  const code = await bundled(
    "export { DeviceLostError, InputError, OutOfMemoryError, ShaderError, SpanwiseError } from './dist/spanwise.js';",
  );
  const errors = (await import(`data:text/javascript,${encodeURIComponent(code)}`)) as Record<
    string,
    new (message: string) => Error
  >;
  t.equal(Object.keys(errors).length, 5);
  for (const [name, Made] of Object.entries(errors)) {
    t.notEqual(Made.name, name, 'the class is renamed');
    t.equal(new Made('words').name, name);
    t.equal(String(new Made('words')), `${name}: words`);
  }
});

test('an import of nothing leaves nothing', async (t) => {
  t.equal((await bundled("import './dist/spanwise.js'; import './dist/kernels.js';")).trim(), '');
});

test('no script names a map that is not shipped', (t) => {
  const scripts = ['dist', 'dist/chunks']
    .flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
    .filter((path) => path.endsWith('.js'));
  t.ok(scripts.length > 5);
  // A script of an earlier build may lie beside them for a minute.
  const named = scripts.filter(
    (path) => existsSync(path) && /\/\/# sourceMappingURL=/.test(readFileSync(path, 'utf8')),
  );
  t.deepEqual(named, []);
  t.end();
});

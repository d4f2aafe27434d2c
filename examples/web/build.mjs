/**
 * Builds the page: `node examples/web/build.mjs [FILE]` writes one HTML file (dist/web/index.html unless named) that holds
 * scripts, styles and the bundled model, so that it runs from a disk as from any server of static files.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/** A script with all that it imports; files of the model travel as bytes. */
async function bundled(entry, define = {}) {
  const { outputFiles } = await build({
    entryPoints: [here(entry)],
    ...{ bundle: true, minify: true, write: false, format: 'iife', platform: 'browser', target: 'es2022' },
    loader: { '.json': 'binary', '.safetensors': 'binary', '.txt': 'binary' },
    logLevel: 'warning',
    charset: 'utf8',
    define,
  });
  return outputFiles[0].text;
}

const worker = await bundled('worker.js');
const page = await bundled('page.js', { WORKER: JSON.stringify(worker) });
const parts = [
  ['<link rel="stylesheet" href="page.css" />', `<style>\n${readFileSync(here('page.css'), 'utf8')}</style>`],
  ['<script src="page.js"></script>', `<script>${page}</script>`],
];
const html = parts.reduce(
  (text, [from, to]) => text.replace(from, () => to),
  readFileSync(here('index.html'), 'utf8'),
);

const file = resolve(process.argv[2] ?? here('../../dist/web/index.html'));
mkdirSync(dirname(file), { recursive: true });
writeFileSync(`${file}.tmp`, html);
renameSync(`${file}.tmp`, file);
console.log(`${file}: ${Math.round(html.length / 1000)} kB`);

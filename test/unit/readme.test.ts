/** The README's first JavaScript block runs as it stands; every file it links to exists. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';

const readme = readFileSync('README.md', 'utf8');

test('the example of one kernel runs', (t) => {
  const [, code] = /```js\n([\s\S]*?)```/.exec(readme) ?? [];
  mkdirSync('dist', { recursive: true });
  const folder = mkdtempSync(join('dist', 'readme-')); // inside the package, so that it can import itself by name
  try {
    writeFileSync(join(folder, 'example.mjs'), code);
    const out = execFileSync(process.execPath, [join(folder, 'example.mjs')], { encoding: 'utf8' });
    for (const shown of ['0.0900', '0.2447', '0.6652', '10.5', 'macs: 12'])
      t.ok(out.includes(shown), `prints ${shown}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  t.end();
});

const use = readFileSync('docs/use.md', 'utf8');

test('the examples of docs/use.md run', (t) => {
  const blocks = [...use.matchAll(/```js run\n([\s\S]*?)```/g)].map(([, code]) => code);
  t.ok(blocks.length >= 4, `${blocks.length} examples`);
  mkdirSync('dist', { recursive: true });
  const folder = mkdtempSync(join('dist', 'use-'));
  try {
    blocks.forEach((code, i) => {
      const file = join(folder, `example${i}.mjs`);
      writeFileSync(file, code.replaceAll('runs/expeditions', 'test/fixtures/stsn/both'));
      const out = execFileSync(process.execPath, [file], { encoding: 'utf8', timeout: 120_000 });
      t.ok(out.trim().length > 0, `example ${i + 1} prints ${out.trim().slice(0, 60)}`);
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  t.end();
});

test('its links lead somewhere', (t) => {
  const links = [...readme.matchAll(/\]\(([^)#:]+)\)/g)].map((m) => m[1]);
  t.ok(links.length > 3, `${links.length} links`);
  for (const link of links) t.ok(existsSync(link), link);
  t.end();
});

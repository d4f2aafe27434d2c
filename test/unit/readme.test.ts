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

/** Runs the blocks of a page that are to be run; what each prints. */
function outputs(page: string, replaced: readonly [string, string], args: readonly string[] = []): string[] {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```js run\n([\s\S]*?)```/g)].map(
    ([, code]) => code,
  );
  mkdirSync('dist', { recursive: true });
  const folder = mkdtempSync(join('dist', 'page-'));
  try {
    return blocks.map((code, i) => {
      const file = join(folder, `example${i}.mjs`);
      writeFileSync(file, code.replaceAll(...replaced));
      return execFileSync(process.execPath, [file, ...args], { encoding: 'utf8', timeout: 120_000 });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the examples of docs/use.md run', (t) => {
  const found = outputs('docs/use.md', ['runs/expeditions', 'test/fixtures/stsn/both']);
  t.ok(found.length >= 4, `${found.length} examples`);
  for (const out of found) t.ok(out.trim().length > 0, `prints ${out.trim().slice(0, 60)}`);
  t.end();
});

test('the example of docs/gate.md runs, and its baseline holds', (t) => {
  const folder = mkdtempSync(join('dist', 'gate-'));
  try {
    const run = (from: string, to: string, ...args: string[]): string => {
      const [out] = outputs('docs/gate.md', [from, to], args);
      return out;
    };
    const baseline = join(folder, 'gate.json');
    t.match(run('gate.json', baseline, '--update'), /^not in the baseline: tagger, default limits\n$/);
    t.equal(run('gate.json', baseline), 'nothing moved\n');
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

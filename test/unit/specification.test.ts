/** The specification ships, covers every kernel, and is what comments point to. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { kernels } from '../../kernels/index.ts';

const folders = ['.', 'bench', 'bin', 'corpora', 'docs', 'examples', 'kernels', 'shaders', 'src', 'test'];
const written = /\.(ts|js|mjs|wgsl|md|py|json|html)$/;

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return folder === '.' || entry.name === 'node_modules' ? [] : filesOf(path);
    return written.test(entry.name) ? [path] : [];
  });
}

/** The anchors that a page's headings have on GitHub, in lower case with hyphens. */
const anchorsOf = (page: string): Set<string> =>
  new Set(
    [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );

const page = readFileSync('docs/spec.md', 'utf8');
const anchors = anchorsOf(page);
const files = filesOf('.').concat(folders.slice(1).flatMap(filesOf));

test('every kernel is specified', (t) => {
  t.deepEqual(
    Object.keys(kernels).filter((name) => !anchors.has(name)),
    [],
  );
  t.end();
});

test('what points to the specification points to a heading of it', (t) => {
  const pointers = files.flatMap((file) => {
    const pattern = file.endsWith('spec.md') ? /\]\(#([\w-]+)/g : /\bspec\.md#([\w-]+)/g;
    return [...readFileSync(file, 'utf8').matchAll(pattern)].map(([, anchor]) => ({ file, anchor }));
  });
  t.ok(pointers.length > 80, `${pointers.length} pointers`);
  t.deepEqual(
    pointers.filter(({ anchor }) => !anchors.has(anchor)),
    [],
  );
  t.end();
});

test('nothing points to a specification that does not ship', (t) => {
  const elsewhere = /\bSPEC[ ]section|shared\/SPEC\b|\(SPEC\)/;
  t.ok(files.length > 300, `${files.length} files`);
  t.deepEqual(
    files.filter((file) => elsewhere.test(readFileSync(file, 'utf8'))),
    [],
  );
  t.end();
});

/** `spanwise attention` of an ISER. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { expectFailure, folder, spanwise } from './run.ts';

const text = 'Mira Okoro founded Windmill Labs Lagos in 2011 .';

test('spanwise attention of an ISER', async (t) => {
  const out = join(folder, 'fusion.svg');
  const run = (name: string) =>
    spanwise(['attention', '--model', `test/fixtures/iser/${name}`, '--text', text, '--out', out, '--json']);
  expectFailure(t, await run('plain'), 2, /--text: the model has "fusion" false/);
  const { status, stdout, stderr } = await run('full');
  t.deepEqual([status, stderr], [0, '']);
  t.equal((JSON.parse(stdout) as { text: string }).text, text);
  t.match(readFileSync(out, 'utf8'), /^<svg [\s\S]*entropy \d\.\d{3} nats/);
});

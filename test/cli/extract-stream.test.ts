/** `spanwise extract` as a filter: answers as they come, the same however they come, from any line on. */
import { readdirSync, readFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { file, fixture, folder, spanwise, start } from './run.ts';

const args = ['extract', '--model', `${fixture}/both`];

/** More than one group, nearly all lines empty; of the others some are longer than the model takes at once. */
const texts = Array.from({ length: 700 }, (_, i) =>
  i % 25 === 9 ? 'Rain in Rio . '.repeat(i === 509 ? 30 : 1 + (i % 4)).trim() : '',
);
const input = `${texts.join('\n')}\n`;
const linesOf = (text: string): string[] => text.split('\n').slice(0, -1);

test('extract: the same lines from a file and a pipe, and from any line on', async (t) => {
  const whole = await spanwise([...args, '--in', file('many.txt', input)]);
  t.equal(whole.status, 0, whole.stderr);
  t.deepEqual(
    linesOf(whole.stdout).map((line) => (JSON.parse(line) as { text: string }).text),
    texts,
  );
  const out = join(folder, 'many.jsonl');
  const rest = await spanwise([...args, '--in', '-', '--out', out, '--from-line', '451'], { input });
  t.deepEqual([rest.status, rest.stdout], [0, ''], rest.stderr);
  t.deepEqual(
    linesOf(readFileSync(out, 'utf8')),
    linesOf(whole.stdout).slice(450),
    'through a pipe, into a file',
  );
});

test('extract --tokens: a line that cannot be read has an answer too', async (t) => {
  const rows = ['{"tokens": ["Rain"]}', '', '{"tokens": "Rain"}', '{"tokens": ["Rain"], "id": 3}'];
  const { status, stdout, stderr } = await spanwise([...args, '--tokens'], { input: rows.join('\n') });
  t.equal(status, 0);
  const found = linesOf(stdout).map(
    (line) => JSON.parse(line) as { id?: number; text: string; error?: string },
  );
  t.deepEqual(
    found.map(({ id, text, error }) => [id, text, error]),
    [
      [undefined, 'Rain', undefined],
      [undefined, '', undefined],
      [undefined, '', 'standard input: row 3: tokens is "Rain", not a list'],
      [3, 'Rain', undefined],
    ],
  );
  t.match(stderr, /^note: lines without a result: 1 \(standard input: row 3: /m);
});

test('extract: a line in, a line out, before the next one comes', async (t) => {
  const child = start(args);
  let out = '';
  let heard: (() => void) | undefined;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    out += chunk;
    heard?.();
  });
  const closed = new Promise((resolve) => child.on('close', resolve));
  for (const [i, text] of ['Rain in Rio', '', 'Rain'].entries()) {
    child.stdin.write(`${text}\n`);
    while (linesOf(out).length <= i) await new Promise<void>((resolve) => (heard = resolve));
    t.equal((JSON.parse(linesOf(out)[i]) as { text: string }).text, text);
  }
  t.equal(linesOf(out).length, 3);
  child.stdin.end();
  t.equal(await closed, 0);
});

test('extract: a reader that has had enough', async (t) => {
  const child = start(args);
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  child.stdin.on('error', () => undefined);
  // Without an end: nothing but the closed pipe can end it.
  child.stdin.write(input.repeat(10));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.stdout.destroy();
  const status = await new Promise((resolve) => child.on('close', resolve));
  t.deepEqual({ status, stderr }, { status: 0, stderr: '' });
});

test('extract --out: nothing is there before everything is', async (t) => {
  const dir = join(folder, 'outputs');
  mkdirSync(dir);
  const out = join(dir, 'found.jsonl');
  const child = start([...args, '--out', out]);
  const closed = new Promise((resolve) => child.on('close', resolve));
  child.stdin.write('Rain in Rio\n');
  const written = (): boolean => readdirSync(dir).some((name) => statSync(join(dir, name)).size > 0);
  while (!written()) await new Promise((resolve) => setTimeout(resolve, 20));
  t.deepEqual(
    readdirSync(dir).map((name) => name.endsWith('.tmp')),
    [true],
    'a temporary file holds what there is',
  );
  child.kill('SIGTERM');
  t.equal(await closed, 143);
  t.deepEqual(readdirSync(dir), [], 'and goes when the command is told to end');

  const torn = Buffer.from('Rain in Rio\n\xff\n', 'latin1');
  const { status, stderr } = await spanwise([...args, '--out', out], { input: torn });
  t.deepEqual([status, stderr], [2, 'spanwise: standard input: not UTF-8 at byte 12 (0xff), in line 2\n']);
  t.deepEqual(readdirSync(dir), [], 'or fails');
});

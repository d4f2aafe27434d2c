import test from 'tape';
import { print, table } from '../../src/cli/print.ts';
import { oneLine, printable } from '../../src/cli/printable.ts';
import { withStreams, type Output } from '../../src/cli/streams.ts';

test('a table gives a square character two columns', (t) => {
  const rows = [
    ['type', 'F1'],
    ['作物', '80.25'],
    ['𪎭子 x', '7.50'],
    ['ｆ．', '1'],
  ];
  t.equal(table(rows), 'type       F1\n作物    80.25\n𪎭子 x   7.50\nｆ．        1\n');
  t.equal(table([['a', '']]), 'a\n', 'no blanks at the end of a line');
  t.equal(table([]), '');
  t.end();
});

test('what steers a terminal is written out', (t) => {
  t.equal(
    printable('\x1b]0;title\x07\x1b[2J\x9b1m\x7f\b\r'),
    '\\x1b]0;title\\x07\\x1b[2J\\x9b1m\\x7f\\x08\\x0d',
  );
  t.equal(printable('a\u202eb\u2066c\u200fd\u2028'), 'a\\u202eb\\u2066c\\u200fd\\u2028');
  const plain = 'Ünïcode 作物 😀\tand\nlines';
  t.equal(printable(plain), plain);
  t.equal(
    table([
      ['type', 'F1'],
      ['\x1b[31mred', '1'],
    ]),
    'type         F1\n\\x1b[31mred   1\n',
    'in a table too',
  );
  t.equal(oneLine('a\r\n\u2028b'), 'a b');
  for (const long of ['x'.repeat(999_999), '\x1b'.repeat(999), '😀'.repeat(999)]) {
    const cut = oneLine(long);
    t.ok(cut.length <= 1010 && cut.endsWith('… (cut)'), `${cut.length} characters`);
  }
  t.equal(oneLine('x'.repeat(1000)), 'x'.repeat(1000));
  t.end();
});

test('a full disk below standard output is told as such', async (t) => {
  const error = Object.assign(new Error('ENOSPC: no space left on device, write'), {
    ...{ code: 'ENOSPC', syscall: 'write' },
  });
  const full: Output = { write: (_, done) => done?.(error) };
  const stdin = { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
  const said = await withStreams({ stdin, stdout: full, stderr: full }, () =>
    print('a').then(
      () => 'nothing',
      (e: unknown) => String(e),
    ),
  );
  t.equal(said, 'Error: standard output: no space left on device');
});

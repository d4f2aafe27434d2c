import test from 'tape';
import { table } from '../../src/cli/print.ts';

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

import test from 'tape';
import { InputError } from '../../../kernels/errors.ts';
import { curveSvg, parseLog, wholeLines } from '../../../src/tasks/training/curve.ts';

const epoch = (number: number, more: object = {}) => ({
  ...{
    event: 'epoch',
    epoch: number,
    loss: 2 / number,
    start: 1 / number,
    end: 1 / number,
    best: number < 3,
  },
  ...{ dev: { entity: 0.25 * number, triple: 0 }, ...more },
});

/** Tags that open and do not close, or the other way round. */
function unbalanced(svg: string): string[] {
  const open: string[] = [];
  for (const [, end, name, empty] of svg.matchAll(/<(\/?)(\w+)[^>]*?(\/?)>/g))
    if (end && open.pop() !== name) return [name];
    else if (!end && !empty) open.push(name);
  return open;
}

test('the learning curve of a log', (t) => {
  const log = [{ event: 'start' }, epoch(1, { frozen: true }), epoch(2), epoch(3)];
  const svg = curveSvg(parseLog(log.map((line) => `${JSON.stringify(line)}\n`).join('')), ['loss', 'start']);
  t.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
  t.deepEqual(unbalanced(svg), []);
  t.match(svg, /encoder frozen up to epoch 1\b/);
  t.match(svg, /the model kept is that of epoch 2\b/);
  for (const tip of ['loss, 1: 2', 'start, 2: 0.5', 'entity, 3: 75', 'triple, 3: 0'])
    t.ok(svg.includes(`<title>${tip}</title>`), tip);
  t.notOk(svg.includes('end, 1'), 'only the losses asked for');
  t.notOk(/NaN|undefined|Infinity/.test(svg));
  t.end();
});

test('a run without dev data, of one epoch, of many', (t) => {
  const bare = curveSvg([epoch(1, { dev: undefined })], ['loss']);
  t.deepEqual(unbalanced(bare), []);
  t.notOk(bare.includes('F1'));
  t.notOk(/NaN|undefined/.test(bare));
  const many = curveSvg(
    Array.from({ length: 95 }, (_, i) => epoch(i + 1)),
    ['loss'],
  );
  t.ok((many.match(/class="axis"/g) ?? []).length < 30, 'ticks do not crowd');
  t.end();
});

test('what a power cut leaves of a log', (t) => {
  const lines = [{ event: 'start' }, epoch(1), epoch(2)].map((line) => `${JSON.stringify(line)}\n`);
  const [start, first, second] = lines;
  const whole = lines.join('');
  t.equal(wholeLines(whole, 'log'), whole);
  for (const [name, log] of Object.entries({
    'half a line': whole.slice(0, -9),
    'no end of line': whole.slice(0, -1),
    zeros: start + first + '\0'.repeat(second.length),
    'zeros behind half a line': start + first + second.slice(0, 9) + '\0'.repeat(500),
    'zeros with an end': `${start}${first}${'\0'.repeat(20)}\n`,
    'another value': `${start}${first}null\n7\n`,
  }))
    t.equal(wholeLines(log, 'log'), start + first, name);
  t.equal(wholeLines('', 'log'), '');
  t.equal(wholeLines('\0'.repeat(4096), 'log'), '');
  for (const middle of ['\0\0\0\n', '\n', '{"event": 1}\n'])
    t.throws(() => wholeLines(start + middle + second, 'out/log.jsonl'), InputError);
  t.throws(
    () => wholeLines(`${start}\0${second}${first}`, 'out/log.jsonl'),
    /^InputError: out\/log.jsonl: line 2 is/,
  );
  t.end();
});

/** What a training says as it goes on. */
import test from 'tape';
import { duration, trainingProgress } from '../../src/cli/training-progress.ts';

const definition = { scores: { ner: 'NER' }, parts: ['span'] };
const start = { event: 'start', recipe: { epochs: 2, batch: 4 }, sentences: 40, notes: [] };

test('training: lines with pace and what is left', (t) => {
  const lines: string[] = [];
  let time = 0;
  const { onEvent } = trainingProgress(definition, { write: (line) => lines.push(line), now: () => time });
  onEvent(start);
  for (let step = 1; step <= 10; step++) {
    time += 2000;
    onEvent({ event: 'step', epoch: 1, step, steps: 20, loss: 0.5 });
  }
  time += 5000;
  const epoch = { event: 'epoch', loss: 0.5, span: 0.5, dev: { ner: 0.25 }, seconds: 25 };
  onEvent({ ...epoch, epoch: 1, best: true });
  t.deepEqual(lines, [
    'epoch 1  loss 0.500 (span 0.500)  dev NER F1 25.00  *  25.0 s, 2.0 sentences a second, 25 s left',
  ]);
  // An epoch of more than a minute is told of while it lasts.
  time += 61_000;
  onEvent({ event: 'step', epoch: 2, step: 11, steps: 20, loss: 0.25 });
  onEvent({ ...epoch, epoch: 2, best: false });
  t.match(lines[1], /^epoch 2 of 2, step 11 of 20, loss 0\.250, \d\.\d sentences a second, \d+ s left$/);
  t.match(lines[2], / {2}\(best: epoch 1\) {2}25\.0 s, \d\.\d sentences a second$/, 'nothing is left');
  t.deepEqual([0.4, 89, 91, 3599, 7800].map(duration), ['0 s', '89 s', '2 min', '1 h 0 min', '2 h 10 min']);
  t.end();
});

test('training: the first step, which compiles, is not what the others are told by', (t) => {
  const lines: string[] = [];
  let time = 0;
  const { onEvent } = trainingProgress(definition, { write: (line) => lines.push(line), now: () => time });
  onEvent(start);
  for (const [i, ms] of [70_000, 2000, 2000].entries()) {
    time += ms;
    onEvent({ event: 'step', epoch: 1, step: i + 1, steps: 20, loss: 0.5 });
  }
  onEvent({ event: 'epoch', epoch: 1, loss: 0.5, span: 0.5, seconds: 74 });
  t.match(lines[0], / 0\.1 sentences a second, 22 min left$/, 'it stands until there is another');
  t.match(lines[1], / 2\.0 sentences a second, 34 s left$/);
  t.end();
});

test('training: quiet, and resumed', (t) => {
  const lines: string[] = [];
  let time = 0;
  const write = (line: string) => void lines.push(line);
  const { onEvent } = trainingProgress(definition, { write, quiet: true, now: () => time });
  onEvent({ ...start, event: 'resume', bestEpoch: 3, samples: 9 });
  time += 100_000;
  onEvent({ event: 'step', epoch: 4, step: 11, steps: 20, loss: 0.25 });
  t.deepEqual(lines, []);
  onEvent({ event: 'epoch', epoch: 4, loss: 1, seconds: 1, best: false });
  t.match(lines[0], /\(best: epoch 3\).* samples a second/);
  t.end();
});

/** What the command line says of costs. */
import test from 'tape';
import { effortText } from '../../src/tasks/prompts/extract.ts';

test('what an extraction took', (t) => {
  const took = (prompts: number, seconds: number): string =>
    effortText({ prompts, forwardPasses: 2, unasked: 0, seconds, promptsPerSecond: prompts / seconds });
  t.equal(took(9, 0.4), '9 prompts, 2 forward passes, 0.4 s: 22.5 prompts a second');
  t.equal(took(1, 92.34), '1 prompts, 2 forward passes, 92.3 s: 92.3 s a prompt', 'one very long text');
  t.equal(took(5, 5), '5 prompts, 2 forward passes, 5.0 s: 1.0 prompts a second');
  t.equal(took(0, 0.01), '0 prompts, 2 forward passes, 0.0 s', 'no text');
  t.end();
});

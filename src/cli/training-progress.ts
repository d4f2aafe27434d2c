/** Training as it goes on. */
import type { Definition } from '../tasks/definition.ts';
import type { LogEvent } from '../tasks/training/curve.ts';
import { percent } from './print.ts';
import { Progress } from './progress.ts';

/** "dev NER F1 91.20  RE+ F1 70.10", of the scores that there are. */
export const devText = (
  f1: Readonly<Record<string, number>>,
  { scores, shown = Object.keys(scores) }: Pick<Definition, 'scores' | 'shown'>,
): string =>
  `dev ${shown
    .filter((key) => f1[key] !== undefined)
    .map((key) => `${scores[key]} F1 ${percent(f1[key])}`)
    .join('  ')}`;

/** Shows training on a terminal's status line, and every finished epoch as a line of `write`. */
export function trainingProgress(
  definition: Definition,
  write: (line: string) => void,
): {
  onEvent: (event: LogEvent) => void;
  end(): void;
} {
  const progress = new Progress();
  return {
    onEvent(e) {
      const fixed = (value: unknown) => Number(value).toFixed(3);
      if (e.event === 'step')
        progress.show(`epoch ${e.epoch}, step ${e.step} of ${e.steps}, loss ${fixed(e.loss)}`);
      if (e.event === 'evaluate')
        progress.show(`epoch ${e.epoch}, dev scores: ${e.what}, ${e.done} of ${e.total}`);
      if (e.event !== 'epoch') return;
      progress.clear();
      const own = definition.parts.filter((part) => part in e);
      const parts = own.map((part) => `${part} ${fixed(e[part])}`).join(', ');
      const scores = e.dev ? `  ${devText(e.dev as Record<string, number>, definition)}` : '';
      write(
        `epoch ${e.epoch}  loss ${fixed(e.loss)} (${parts})${e.frozen ? ', encoder frozen' : ''}${scores}` +
          `${e.best ? '  *' : ''}  ${Number(e.seconds).toFixed(1)} s`,
      );
    },
    end: () => progress.clear(),
  };
}

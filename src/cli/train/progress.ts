/** Training as it goes on. */
import type { LogEvent } from '../../tasks/training/task.ts';
import { percent } from '../print.ts';
import { Progress } from '../progress.ts';

/** What of a model's epochs is shown: its loss parts, and its scores by their names in the log and in words. */
export interface Shown {
  parts: readonly string[];
  scores: Readonly<Record<string, string>>;
}

export const shownOfStsn: Shown = {
  parts: ['tag', 'span', 'relation'],
  scores: { ner: 'NER', rePlus: 'RE+' },
};

export const shownOfCerem: Shown = {
  parts: ['start', 'end'],
  scores: {
    entity: 'entity',
    triple: 'triple',
    trigger: 'trigger',
    argument: 'argument',
    eventTriple: 'event triple',
  },
};

/** "dev NER F1 91.20  RE+ F1 70.10", of the scores that there are. */
export const devText = (f1: Readonly<Record<string, number>>, { scores }: Shown): string =>
  `dev ${Object.entries(scores)
    .filter(([key]) => f1[key] !== undefined)
    .map(([key, name]) => `${name} F1 ${percent(f1[key])}`)
    .join('  ')}`;

/** Shows training on a terminal's status line, and every finished epoch as a line of `write`. */
export function trainingProgress(
  shown: Shown,
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
      const parts = shown.parts.map((part) => `${part} ${fixed(e[part])}`).join(', ');
      const scores = e.dev ? `  ${devText(e.dev as Record<string, number>, shown)}` : '';
      write(
        `epoch ${e.epoch}  loss ${fixed(e.loss)} (${parts})${e.frozen ? ', encoder frozen' : ''}${scores}` +
          `${e.best ? '  *' : ''}  ${Number(e.seconds).toFixed(1)} s`,
      );
    },
    end: () => progress.clear(),
  };
}

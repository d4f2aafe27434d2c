/** The learning curve of a run, from its log. */
import { InputError } from '../../../kernels/errors.ts';
import { isObject, type Json } from '../../io/json.ts';
import { svgFile, type Plot, type Series } from '../../plots/plot.ts';

/** One line of a run's `log.jsonl`. */
export type LogEvent = Readonly<Record<string, unknown>> & { event: string };

/** The events of a `log.jsonl`. */
export const parseLog = (text: string): LogEvent[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogEvent);

function isEvent(line: string): boolean {
  try {
    const value = JSON.parse(line) as Partial<LogEvent> | null;
    return typeof value?.event === 'string';
  } catch {
    return false;
  }
}

/**
 * The lines of a log up to where it is torn: a power cut leaves zeros, half a line or nothing at its end.
 * @throws InputError naming `what` and the line, where whole ones follow it: that is no end
 */
export function wholeLines(text: string, what: string): string {
  const lines = text.split('\n');
  const last = lines.pop() as string; // empty, or it has no end
  const torn = lines.findIndex((line) => !isEvent(line));
  if (torn < 0) return text.slice(0, text.length - last.length);
  if (lines.slice(torn + 1).some(isEvent))
    throw new InputError(`${what}: line ${torn + 1} is not a line of a training's log`);
  return lines
    .slice(0, torn)
    .map((line) => `${line}\n`)
    .join('');
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/** Ticks of an axis of epochs at most. */
const TICKS = 10;

/**
 * Losses and dev F1 scores by epoch as the text of an SVG file: of a run with at least one finished epoch. What is no number in
 * a log that was tampered with has no point.
 * @param losses which keys of an epoch's event are drawn
 * @param names what the scores are called; their keys when absent
 */
export function curveSvg(
  log: readonly LogEvent[],
  losses: readonly string[],
  names: Readonly<Record<string, string>> = {},
): string {
  const epochs = log.filter(({ event, epoch }) => event === 'epoch' && isNumber(epoch));
  const devOf = (event: LogEvent): Json => (isObject(event.dev) ? event.dev : {});
  const step = Math.ceil(epochs.length / TICKS);
  const numbers = epochs.map(({ epoch }) => Number(epoch));
  const x = {
    label: 'epoch',
    scale: 'linear' as const,
    ticks: numbers.filter((n) => n % step === 0 || (n === 1 && step < 3)),
  };
  const series = (name: string, of: (event: LogEvent) => unknown): Series[] => {
    const points = epochs.flatMap((event, i) => {
      const y = of(event);
      return isNumber(y) ? [{ x: numbers[i], y }] : [];
    });
    return points.length > 0 ? [{ name, points }] : [];
  };
  const frozen = epochs.filter((event) => event.frozen === true).length;
  const best = epochs.findLast((event) => event.best === true);
  const scoreOf = (event: LogEvent, key: string): unknown => {
    const score = devOf(event)[key];
    return isNumber(score) ? 100 * score : undefined;
  };
  const scores = Object.keys(devOf(epochs[0]));
  const plots: Plot[] = [
    {
      title: 'Loss',
      caption: `Means over the steps of an epoch${frozen > 0 ? `; encoder frozen up to epoch ${frozen}` : ''}.`,
      ...{ x, y: { label: 'loss', scale: 'linear' }, kind: 'lines' },
      series: losses.flatMap((name) => series(name, (event) => event[name])),
    },
  ];
  if (scores.length > 0)
    plots.push({
      title: 'F1 on the dev data',
      caption: `After each epoch${best ? `; the model kept is that of epoch ${Number(best.epoch)}` : ''}.`,
      ...{ x, y: { label: 'F1, percent', scale: 'linear' }, kind: 'lines' },
      series: scores.flatMap((key) =>
        series(Object.hasOwn(names, key) ? names[key] : key, (event) => scoreOf(event, key)),
      ),
    });
  return svgFile(plots.filter((plot) => plot.series.length > 0));
}

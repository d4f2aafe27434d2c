/** What a benchmark's document found, in one sentence that is made of its rows. */
import { numberText } from '../src/plots/plot.ts';
import type { BenchDocument, BenchRow } from './harness.ts';
import { MAIN_SCALES } from './report.plots.ts';
import { summarise } from './statistics.ts';

const number = (row: BenchRow, key: string): number => Number(row[key]);
const has = (row: BenchRow, key: string): boolean => typeof row[key] === 'number';
const median = (values: readonly number[]): number => summarise(values).median;
const distinct = (rows: readonly BenchRow[], key: string): string[] => [
  ...new Set(rows.map((row) => String(row[key]))),
];
const most = (rows: readonly BenchRow[], key: string): BenchRow =>
  rows.reduce((best, row) => (number(row, key) > number(best, key) ? row : best));
const least = (rows: readonly BenchRow[], key: string): BenchRow =>
  rows.reduce((best, row) => (number(row, key) < number(best, key) ? row : best));
const plural = (count: number, one: string): string => `${count} ${one}${count === 1 ? '' : 's'}`;

function sia({ rows }: BenchDocument): string | undefined {
  const forward = rows.filter(({ pass, scales }) => pass === 'forward' && String(scales) === MAIN_SCALES);
  if (forward.length === 0) return undefined;
  const row = most(forward, 'L');
  return (
    `At L = ${String(row.L)} segment attention over the scales ${MAIN_SCALES} takes ${numberText(number(row, 'ratioToSelf'))} ` +
    `times as long as one self-attention; scale by scale takes ${numberText(number(row, 'ratioToNaive'))} times as long as segment attention.`
  );
}

function kernels({ rows }: BenchDocument): string | undefined {
  const timed = rows.filter((row) => has(row, 'percentOfPeak'));
  if (timed.length === 0) return undefined;
  const name = ({ kernel, pass }: BenchRow) => `${String(kernel)} ${String(pass)}`;
  const [low, high] = [least(timed, 'percentOfPeak'), most(timed, 'percentOfPeak')];
  const share = (row: BenchRow) => `${numberText(number(row, 'percentOfPeak'))} %`;
  return (
    `Of its roof a pass reaches ${numberText(median(timed.map((row) => number(row, 'percentOfPeak'))))} % in the median; ` +
    `nearest is ${name(high)} with ${share(high)}, furthest ${name(low)} with ${share(low)}.`
  );
}

function peers({ rows }: BenchDocument): string {
  const timed = rows.filter((row) => row.peer !== 'spanwise' && has(row, 'ratioToOurs'));
  const found = distinct(timed, 'peer').map((peer) => {
    const own = timed.filter((row) => row.peer === peer);
    const ratio = numberText(median(own.map((row) => number(row, 'ratioToOurs'))));
    return `${peer} takes ${ratio} (${String(own[0].runsOn)})`;
  });
  return `In the median of the cases and in times of Spanwise, ${found.join(', ')}.`;
}

const contextAttention = ({ rows }: BenchDocument): string =>
  `${rows
    .map(
      (row) =>
        `${String(row.pass)}, an attention for each of ${String(row.spans)} spans takes ${numberText(number(row, 'ratio'))} times as long as all spans at once`,
    )
    .join('; ')}.`;

function spanScore({ rows }: BenchDocument): string {
  const find = (form: string) => rows.find((row) => row.form === form && row.pass === 'forward')!;
  return (
    `Forward, span-score keeps ${numberText(100 * number(find('span-score'), 'shareOfConcatenated'))} % of the concatenated ` +
    `matrix; the composed form takes ${numberText(number(find('composed'), 'ratioToOurs'))} times as long.`
  );
}

function table6({ rows }: BenchDocument): string {
  const [base, whole] = [rows[0], rows[rows.length - 1]];
  const ratio = (key: string) => numberText(number(whole, key) / number(base, key));
  return (
    `${String(whole.name)} has ${ratio('macs')} times the multiply-adds of ${String(base.name)}, takes ${ratio('ms')} times as long ` +
    `and ${ratio('peakBytes')} times the memory a forward pass.`
  );
}

function table7({ rows }: BenchDocument): string {
  const batch = Math.max(...rows.map((row) => number(row, 'batch')));
  const own = rows.filter((row) => number(row, 'batch') === batch);
  const [base, whole] = [own[0], own[own.length - 1]];
  const share = numberText((100 * number(whole, 'throughput')) / number(base, 'throughput'));
  return `At batch ${batch} ${String(whole.name)} has ${share} % of the throughput of ${String(base.name)}.`;
}

function soak({ rows }: BenchDocument): string {
  const late = rows.filter((row) => number(row, 'step') >= 10);
  const bytes = new Set(late.map((row) => number(row, 'liveBytes')));
  const steps = `after steps ${late.map((row) => String(row.step)).join(', ')}`;
  return bytes.size === 1
    ? `The device holds the same ${numberText([...bytes][0])} bytes ${steps}.`
    : `Live bytes move between ${numberText(Math.min(...bytes))} and ${numberText(Math.max(...bytes))} ${steps}.`;
}

/** The last row of a long run, and what it held beside the row before which everything was there. */
function longRun({ rows }: BenchDocument, done: (last: BenchRow) => string): string {
  const last = rows[rows.length - 1];
  const settled = rows[Math.ceil(0.1 * (rows.length - 1))];
  const held = (row: BenchRow) =>
    `${numberText(number(row, 'residentBytes') / 1e6)} MB and ${String(row.threads)} threads`;
  return `After ${done(last)} the process holds ${held(last)}, after a tenth of them ${held(settled)}.`;
}

const soakCycles = (document: BenchDocument): string =>
  longRun(document, ({ cycle }) => `${String(cycle)} devices opened, used and closed`);

const soakHour = (document: BenchDocument): string =>
  longRun(
    document,
    ({ round, minutes, steps, lines }) =>
      `${numberText(Number(minutes))} minutes, ${String(round)} rounds with ${String(steps)} training steps and ${String(lines)} lines read,`,
  );

const soakLines = (document: BenchDocument): string =>
  longRun(document, ({ line }) => `${String(line)} lines through extract`);

function kills({ rows, runs }: BenchDocument): string {
  const count = rows.reduce((sum, row) => sum + number(row, 'kills'), 0);
  const fell = rows.map(({ phase, kills }) => `${String(phase)} ${String(kills)}`).join(', ');
  return `${plural(count, 'kill')} in ${plural(Number(runs), 'run')} fell into ${fell}.`;
}

function stsn({ rows }: BenchDocument): string {
  const best = most(rows, 'rePlus');
  const scores = (row: BenchRow) =>
    `NER ${numberText(number(row, 'ner'))}, RE+ ${numberText(number(row, 'rePlus'))}`;
  return best === rows[0]
    ? `The whole model scores best by RE+: ${scores(best)}.`
    : `Best by RE+ is the variant ${String(best.variant)} with ${scores(best)}; ${String(rows[0].variant)} has ${scores(rows[0])}.`;
}

function cerem({ rows }: BenchDocument): string {
  const means = distinct(rows, 'variant').map((variant) => {
    const f1 = rows.filter((row) => row.variant === variant).map((row) => number(row, 'f1'));
    return { variant, f1: f1.reduce((a, b) => a + b, 0) / f1.length, seeds: f1.length };
  });
  const sorted = means.sort((a, b) => b.f1 - a.f1);
  const said = sorted.map(({ variant, f1 }) => `${variant} ${numberText(f1)}`);
  const of = sorted[0].seeds === 1 ? 'one seed' : `mean of ${sorted[0].seeds} seeds`;
  return `Entity F1, ${of}: ${said.join(', ')}.`;
}

function models({ rows }: BenchDocument): string {
  const name = ({ model, variant }: BenchRow) => `${String(model)} ${String(variant)}`;
  const scored = rows.filter((row) => has(row, 'ner') && has(row, 'rePlus'));
  if (scored.length === 0)
    return `${plural(distinct(rows, 'model').length, 'system')}, none scored by NER and RE+.`;
  const [best, cheap] = [most(scored, 'rePlus'), least(scored, 'sentenceFlops')];
  const of = (row: BenchRow) =>
    `${name(row)} (NER ${numberText(number(row, 'ner'))}, RE+ ${numberText(number(row, 'rePlus'))}, ${numberText(number(row, 'sentenceFlops') / 1e6)} MFLOP a sentence)`;
  return best === cheap
    ? `Best by RE+ and cheapest is ${of(best)}.`
    : `Best by RE+ is ${of(best)}; cheapest is ${of(cheap)}.`;
}

function gpuForms({ rows }: BenchDocument): string {
  const compiled = rows.filter((row) => has(row, 'registers'));
  const spilling = compiled.filter((row) => number(row, 'spilledRegisters') > 0).length;
  const forms = distinct(compiled, 'pipeline').length;
  return `${spilling === 0 ? 'No form spills' : `${plural(spilling, 'compilation')} spill`} in ${plural(compiled.length, 'compilation')} of ${plural(forms, 'pipeline')}.`;
}

const host = ({ rows }: BenchDocument): string =>
  `A step costs the host, in times the floor of its own dispatches: ${rows
    .map((row) => `${String(row.case)} ${numberText(number(row, 'ratio'))}`)
    .join(', ')}.`;

function engines({ rows }: BenchDocument): string | undefined {
  const ran = rows.filter((row) => has(row, 'kernels'));
  if (ran.length === 0) return undefined;
  const alike = ran.filter((row) => row.agreeing === row.kernels && row.sameExtractions === true);
  const names = distinct(ran, 'engine').join(', ');
  const loss = number(most(ran, 'lossError'), 'lossError');
  return (
    `${alike.length} of ${plural(ran.length, 'run')} in ${names} agree on ` +
    `${plural(number(ran[0], 'kernels'), 'kernel')} and extract the same; a loss differs from Node's by at most ${loss.toExponential(1)} of it.`
  );
}

function fuzz({ rows }: BenchDocument): string {
  const sum = (key: string): number => rows.reduce((all, row) => all + number(row, key), 0);
  const [inputs, faults] = [sum('inputs'), sum('faults')];
  const slow = most(rows, 'slowestMs');
  return (
    `Of ${numberText(inputs)} inputs of ${plural(rows.length, 'reader')}, ${numberText((100 * sum('read')) / inputs)} % are read and the others refused; ` +
    `${faults === 0 ? 'none shows a fault' : `${numberText(faults)} show a fault`}, and the slowest, of ${String(slow.reader)}, takes ${numberText(number(slow, 'slowestMs'))} ms.`
  );
}

function accuracy({ rows }: BenchDocument): string | undefined {
  const found = rows.filter((row) => has(row, 'ulps'));
  if (found.length === 0) return undefined;
  const worst = most(found, 'ulps');
  const wrong = rows.filter(({ ok }) => ok !== true).length;
  return (
    `On ${plural(distinct(rows, 'device').length, 'device')} the farthest element is ${numberText(number(worst, 'ulps'))} ULP off, ` +
    `${String(worst.element)} of ${String(worst.kernel)} on ${String(worst.device)}; ` +
    `${wrong === 0 ? 'every kernel is' : `all but ${plural(wrong, 'row')} are`} within tolerance and bound.`
  );
}

/** By benchmark. */
const findings: Readonly<Record<string, (document: BenchDocument) => string | undefined>> = {
  ...{
    sia,
    kernels,
    peers,
    linear: peers,
    table6,
    table7,
    soak,
    stsn,
    cerem,
    models,
    host,
    engines,
    fuzz,
    accuracy,
  },
  ...{ 'soak-cycles': soakCycles, 'soak-hour': soakHour, 'soak-lines': soakLines, kills },
  ...{ 'context-attention': contextAttention, 'span-score': spanScore, 'gpu-forms': gpuForms },
};

/** One sentence; undefined for a document whose rows are not enough for it, or of a benchmark that is not known. */
export function findingOf(document: BenchDocument): string | undefined {
  if (document.rows.length === 0 || !Object.hasOwn(findings, document.name)) return undefined;
  const sentence = findings[document.name](document);
  return sentence && sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

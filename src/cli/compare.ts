/** `spanwise compare`: whether one model's scores are better than another's, seed by seed (the paper's Table 9). */
import { InputError } from '../../kernels/errors.ts';
import { readTextFile } from '../io/files.ts';
import { isObject, parseJson } from '../io/json.ts';
import { compareInPairs, type PairedComparison } from '../tasks/comparison.ts';
import { json, type Command } from './command.ts';
import { percent, print, printJson, table } from './print.ts';
import { tell } from './printable.ts';

/** F1 by name of score and mean, such as `entity micro`, and of how much gold. */
type F1Scores = Map<string, { f1: number; support?: number }>;

const means = ['micro', 'macro'] as const;

/** The F1 scores of one document of `spanwise eval --json`. Errors: InputError naming `what` where it holds none. */
function f1Scores(document: unknown, what: string): F1Scores {
  const scores: F1Scores = new Map();
  if (isObject(document))
    for (const [name, value] of Object.entries(document))
      for (const mean of means) {
        const score = isObject(value) ? value[mean] : undefined;
        if (!isObject(score) || typeof score.f1 !== 'number') continue;
        const { f1, support } = score;
        if (!(f1 >= 0 && f1 <= 1))
          throw new InputError(`${what}: ${name}.${mean}.f1 is ${f1}, not a share from 0 to 1`);
        scores.set(`${name} ${mean}`, { f1, ...(typeof support === 'number' && { support }) });
      }
  if (scores.size === 0)
    throw new InputError(`${what}: holds no scores as "spanwise eval --json" prints them`);
  return scores;
}

/** The scores of every evaluation in a file: one document, or a list of them. */
function readEvaluations(path: string): F1Scores[] {
  const content = parseJson(readTextFile(path, 'evaluation').replace(/^\ufeff/, ''), path);
  if (!Array.isArray(content)) return [f1Scores(content, path)];
  if (content.length === 0) throw new InputError(`${path}: holds no evaluation`);
  return content.map((document, i) => f1Scores(document, `${path}: evaluation ${i + 1}`));
}

/** The comparisons of all scores that every evaluation has, and the names of the others. Errors: InputError where there is none, or no pairs. */
function compareFiles(
  a: string,
  b: string,
): { comparisons: [score: string, PairedComparison][]; alone: string[] } {
  const [left, right] = [readEvaluations(a), readEvaluations(b)];
  if (left.length !== right.length)
    throw new InputError(
      `${b}: ${right.length} evaluations, but ${a} has ${left.length}: they make no pairs`,
    );
  const all = [...left, ...right];
  const names = [...new Set(all.flatMap((scores) => [...scores.keys()]))];
  const shared = names.filter((name) => all.every((scores) => scores.has(name)));
  if (shared.length === 0) throw new InputError(`${b}: shares no score with ${a}`);
  left.forEach((one, i) => {
    for (const name of shared) {
      const [ours, theirs] = [one, right[i]].map((scores) => scores.get(name)!.support);
      if (ours !== undefined && theirs !== undefined && ours !== theirs)
        throw new InputError(
          `${b}: evaluation ${i + 1} is of other data than its pair in ${a}: ${name} of ${theirs} in the gold, and of ${ours}`,
        );
    }
  });
  const comparisons = shared.map((name): [string, PairedComparison] => {
    const of = (list: readonly F1Scores[]) => list.map((scores) => scores.get(name)!.f1);
    return [name, compareInPairs(of(left), of(right))];
  });
  return { comparisons, alone: names.filter((name) => !shared.includes(name)) };
}

/** A number with two or more digits behind the point; a dash for what one pair cannot say. */
const cell = (value: number, digits: number): string => (Number.isNaN(value) ? '-' : value.toFixed(digits));
const percentCell = (share: number): string => (Number.isNaN(share) ? '-' : percent(share));

export const compareCommand: Command = {
  name: 'compare',
  summary: 'Compares the scores of two models by paired t tests',
  positional: 'A.json B.json',
  pathsFrom: 0,
  options: { json },
  notes:
    'A.json and B.json each hold what "spanwise eval --json" printed, or a list of such documents, one a seed, in the\n' +
    'same order. Differences are B − A of F1; deviations are of samples (n − 1); p is two-sided, the interval 95 %. In JSON\n' +
    'null is what one pair cannot say, and the infinite t of differences that are one number.',
  async run(args) {
    const { comparisons, alone } = compareFiles(args.positional, args.rest[0]);
    if (alone.length > 0) tell(`note: not compared, since not every evaluation has it: ${alone.join(', ')}`);
    if (args.flag('json')) {
      await printJson({ scores: Object.fromEntries(comparisons) });
      return;
    }
    const rows = comparisons.map(([name, { a, b, difference, t, p, interval }]) => [
      name,
      ...[a, b, difference].flatMap(({ mean, deviation }) => [percentCell(mean), percentCell(deviation)]),
      cell(t, 3),
      cell(p, 4),
      ...interval.map(percentCell),
    ]);
    const heads = ['F1', 'A', '±', 'B', '±', 'B − A', '±', 't', 'p', 'low', 'high'];
    await print(`${table([heads, ...rows])}\npairs: ${comparisons[0][1].n}\n`);
  },
};

/** What `eval` writes besides scores: predictions, and what is wrong with them. */
import { resolve } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { writeFileAtomic } from '../io/files.ts';
import { analyse, type Analysis } from '../tasks/errors/analysis.ts';
import { predictionsJson, type Judgement } from '../tasks/errors/judged.ts';
import { errorsPage } from '../tasks/errors/page.ts';
import { errorRows } from '../tasks/errors/rows.ts';
import type { Arguments, Command } from './command.ts';
import { checkWritable } from './device.ts';

export const judgingOptions: Command['options'] = {
  errors: { path: 'F', doc: 'what is wrong, text by text, to write: F.html, a page to read, or F.jsonl' },
  out: { path: 'F', doc: 'predictions to write, a corpus in the form of --data' },
};

/** Where what was predicted goes; undefined where nobody asks for it. */
export interface Judging {
  onJudged(judgement: Judgement): void;
  /** What `--errors` found, once there is something. */
  readonly analysis: Analysis | undefined;
}

/** What the options ask for. Errors: usage errors; InputError for a file that cannot be written. */
export function givenJudging(args: Arguments, model: string, data: string): Judging | undefined {
  const [errors, out] = [args.optional('errors'), args.optional('out')];
  if (errors === undefined && out === undefined) return undefined;
  const asPage = errors?.endsWith('.html') === true;
  if (errors !== undefined && !asPage && !errors.endsWith('.jsonl'))
    args.fail(`--errors must end in .html or .jsonl, got "${errors}"`);
  if (errors !== undefined && out !== undefined && resolve(errors) === resolve(out))
    throw new InputError(`${out}: both --errors and --out`);
  for (const file of [errors, out]) if (file !== undefined) checkWritable(file, args);
  let analysis: Analysis | undefined;
  return {
    onJudged(judgement) {
      if (out !== undefined) writeFileAtomic(out, predictionsJson(judgement));
      if (errors === undefined) return;
      analysis = analyse(judgement);
      writeFileAtomic(errors, asPage ? errorsPage(analysis, { model, data }) : errorRows(analysis.texts));
    },
    get analysis() {
      return analysis;
    },
  };
}

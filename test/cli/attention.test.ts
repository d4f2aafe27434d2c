import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { WeightMap } from '../../src/tasks/prompts/attention-map.ts';
import { attentionSvg } from '../../src/tasks/prompts/attention-svg.ts';
import { expectFailure, folder, spanwise } from './run.ts';

const fixtures = 'test/fixtures/cerem';

interface MapJson extends Omit<WeightMap, 'weights'> {
  weights: number[][];
}
interface Report {
  prompt: string;
  text: string;
  tokens: string[];
  branches: { branch: 'start' | 'end'; withSegments: MapJson; withoutSegments: MapJson }[];
}

const mapOf = ({ weights, ...figures }: MapJson): WeightMap => ({
  ...figures,
  weights: Float64Array.from(weights.flat()),
});

test('spanwise attention', async (t) => {
  const out = join(folder, 'map.svg');
  const args = [
    'attention',
    '--model',
    `${fixtures}/shared-gated`,
    '--text',
    '小林看海。',
    '--prompt',
    '人物',
  ];
  const { status, stdout, stderr } = await spanwise([...args, '--out', out, '--json']);
  t.deepEqual([status, stderr], [0, '']);
  const { prompt, text, tokens, branches } = JSON.parse(stdout) as Report;
  t.deepEqual([prompt, text], ['人物', '小林看海。']);
  t.equal(tokens.length, 10);
  t.deepEqual(
    branches.map(({ branch }) => branch),
    ['start', 'end'],
  );
  const maps = branches.map(({ branch, withSegments, withoutSegments }) => ({
    branch,
    withSegments: mapOf(withSegments),
    withoutSegments: mapOf(withoutSegments),
  }));
  t.ok(
    maps.every(
      ({ withSegments, withoutSegments }) =>
        withSegments.weights.length + withoutSegments.weights.length === 200,
    ),
  );
  t.equal(
    readFileSync(out, 'utf8'),
    attentionSvg({ tokens, branches: maps }, ['CEREM, asked “人物” of', '小林看海。']),
    'the file',
  );

  const plain = await spanwise(args);
  const first = branches[0].withSegments.entropy.toFixed(4);
  t.match(
    plain.stdout,
    new RegExp(`^branch +segments +entropy +cluster distance\nstart +with +${first} +\\d`),
  );
});

test('spanwise attention: a model without segments', async (t) => {
  const args = ['attention', '--model', `${fixtures}/no-sia`, '--text', '小林看海。'];
  const { status, stdout } = await spanwise([...args, '--json']);
  t.equal(status, 0);
  const { branches } = JSON.parse(stdout) as { branches: { withSegments: unknown }[] };
  t.deepEqual(
    branches.map(({ withSegments }) => withSegments),
    [null, null],
  );
});

test('spanwise attention: bad input', async (t) => {
  const never = join(folder, 'never.svg');
  const run = (model: string, ...more: string[]) => spanwise(['attention', '--model', model, ...more]);
  const baseline = await run(`${fixtures}/baseline`, '--text', 'a', '--out', never);
  expectFailure(t, baseline, 2, /--text: the model has "sia" and "branches" false/);
  t.notOk(existsSync(never), 'nothing is written');
  const png = join(folder, 'map.png');
  expectFailure(
    t,
    await run(`${fixtures}/per-scale`, '--text', 'a', '--out', png),
    2,
    /attention: --out writes SVG: its name must end in \.svg, got ".*map\.png"/,
  );
  t.notOk(existsSync(png), 'no SVG under another name');
  expectFailure(t, await run(`${fixtures}/per-scale`), 2, /--text TEXT is missing/);
  expectFailure(t, await spanwise(['attention', '--text', 'a']), 2, /attention: --model DIR is missing/);
  expectFailure(t, await run('nowhere', '--text', 'a'), 2, /nowhere: no such model folder/);
  const undrawn = await run('test/fixtures/stsn/both', '--text', 'a');
  expectFailure(t, undrawn, 2, /stsn\/both: attention is drawn of ISER and CEREM models/);
});

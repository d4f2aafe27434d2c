import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { benches } from '../../bench/index.ts';
import { reportHtml } from '../../bench/report.bench.ts';
import { findingOf } from '../../bench/report.findings.ts';
import { plotsOf } from '../../bench/report.plots.ts';
import { barsOf, type BarPlot } from '../../src/plots/bars.ts';
import { spread, svgOf, ticksOf, type Plot } from '../../src/plots/plot.ts';
import { heatmapsSvg } from '../../src/tasks/heatmap.ts';
import type { BenchDocument } from '../../src/cli/bench.ts';
import { packageRoot } from '../../src/cli/package-root.ts';
import { spanwise } from '../cli/run.ts';

const document = (name: string, rows: BenchDocument['rows'], more: object = {}): BenchDocument => ({
  ...{ name, rows, checks: [], commit: 'abcdef0123456789', dirty: false },
  device: { name: 'a <fast> device', driver: 'driver 1', software: true, features: [] },
  ...{ date: '2026-01-01T00:00:00.000Z', versions: {}, ...more },
});

const row = (L: number, scales: number[], pass: string, ms: number) => ({
  ...{ L, heads: 8, headSize: 96, scales, pass, selfMs: ms, siaMs: 1.2 * ms, naiveMs: 5 * ms },
  ...{ ratioToSelf: 1.2, ratioToNaive: 5 / 1.2 },
  quartiles: { sia: { q1: 1.1 * ms, q3: 1.3 * ms } },
});
const five = [2, 3, 4, 5, 6];
const sia = document(
  'sia',
  [
    row(128, five, 'forward', 10),
    row(256, five, 'forward', 40),
    row(256, [2], 'forward', 40),
    row(256, [2, 3], 'forward', 41),
  ],
  { memory: [{ L: 128, pass: 'forward', self: 2 ** 20, sia: 2 ** 20, naive: 2 ** 23 }] },
);
const kernels = document(
  'kernels',
  [{ kernel: 'linear', pass: 'forward', gflops: 5, flops: 1e9, bytes: 1e7 }],
  {
    peaks: { gflops: 10, gbps: 4 },
  },
);

test('the plots of documents', (t) => {
  const [byLength, byCount, memory] = plotsOf(sia) as Plot[];
  t.equal(byLength.title, 'Cost against length, forward');
  t.deepEqual(
    byLength.series.map(({ name }) => name),
    ['self-attention', 'segment-attention', 'scale by scale'],
  );
  t.deepEqual(
    byLength.series[1].points.map(({ x, y }) => [x, y]),
    [
      [128, 12],
      [256, 48],
    ],
    'the five scales alone',
  );
  t.deepEqual(byLength.series[1].points[0].range, [11, 13]);
  t.deepEqual(
    byCount.series[2].points.map(({ x, y }) => [x, y]),
    [
      [1, 200],
      [2, 205],
      [5, 200],
    ],
  );
  t.deepEqual(memory.series[2].points, [{ x: 128, y: 2 ** 23 }]);

  const [roof] = plotsOf(kernels) as Plot[];
  t.deepEqual(roof.series[0].points, [{ x: 100, y: 5, label: 'linear' }]);
  t.deepEqual(
    roof.guides?.[0].points.map(({ x, y }) => [x, y]),
    [
      [1.25, 5],
      [2.5, 10],
      [100, 10],
    ],
  );
  t.deepEqual(plotsOf(document('linear', [])), []);
  t.end();
});

test('bars', (t) => {
  const [plot] = plotsOf(
    document('peers', [
      { case: 'softmax', peer: 'spanwise', ms: 2, ratioToOurs: 1 },
      { case: 'softmax', peer: 'one', ms: 4, ratioToOurs: 2, runsOn: 'webgpu' },
      { case: 'softmax', peer: 'two', ms: 1, ratioToOurs: 0.5, runsOn: 'CPU' },
      { case: 'pool', peer: 'two', note: 'cannot be had' },
    ]),
  ) as BarPlot[];
  t.deepEqual(plot.series, ['one', 'two']);
  t.deepEqual(
    plot.groups,
    [
      {
        name: 'softmax',
        bars: [
          { series: 0, value: 2 },
          { series: 1, value: 0.5 },
        ],
      },
    ],
    'a case without a number has no bar',
  );
  const svg = barsOf(plot);
  t.notOk(/NaN|Infinity|undefined/.test(svg));
  const bars = [...svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="13"/g)].map(
    ([, x, width]) => ({ x: Number(x), width: Number(width) }),
  );
  t.equal(bars.length, 2);
  const [one, two] = bars;
  t.ok(Math.abs(one.x - (two.x + two.width)) < 0.2, 'ratios go to both sides of 1');
  t.ok(Math.abs(one.width - two.width) < 0.2, 'as far for twice as for half');
  t.end();
});

test('what documents found', (t) => {
  t.match(findingOf(sia)!, /^At L = 256 segment attention over the scales 2,3,4,5,6 takes 1\.2 times/);
  t.match(
    findingOf(
      document(
        'soak',
        [1, 10, 20].map((step) => ({ step, liveBytes: step < 10 ? 1 : 2 + step })),
      ),
    )!,
    /^Live bytes move between 12 and 22 after steps 10, 20\.$/,
  );
  t.match(
    findingOf(
      document('cerem', [
        { variant: 'a', f1: 50 },
        { variant: 'b', f1: 60 },
        { variant: 'a', f1: 52 },
        { variant: 'b', f1: 61 },
      ]),
    )!,
    /^Entity F1, mean of 2 seeds: b 60\.5, a 51\.$/,
  );
  t.equal(findingOf(document('linear', [])), undefined);
  t.equal(findingOf(document('no benchmark', [{}])), undefined);
  t.end();
});

test('every committed document has its plot and its sentence', (t) => {
  const folder = join(packageRoot(), 'bench', 'results');
  const files = readdirSync(folder).filter((name) => name.endsWith('.json'));
  t.ok(files.length > 10);
  for (const file of files) {
    const committed = JSON.parse(readFileSync(join(folder, file), 'utf8')) as BenchDocument;
    t.ok(Object.hasOwn(benches, committed.name), `${file} is of a benchmark`);
    const plots = plotsOf(committed);
    t.ok(plots.length > 0, `${file} has a plot`);
    for (const plot of plots)
      t.notOk(/NaN|Infinity|undefined/.test(plot.kind === 'bars' ? barsOf(plot) : svgOf(plot)), plot.title);
    const sentence = findingOf(committed) ?? '';
    t.match(sentence, /^[A-Z0-9].{20,}\.$/, sentence);
    t.notOk(/NaN|Infinity|undefined/.test(sentence));
  }
  t.end();
});

test('axes and labels', (t) => {
  const log = { label: '', scale: 'log' } as const;
  t.deepEqual(ticksOf(log, 3, 60), [5, 10, 20, 50]);
  t.deepEqual(
    ticksOf({ ...log, unit: 'bytes' }, 2 ** 20, 2 ** 23),
    [20, 21, 22, 23].map((n) => 2 ** n),
  );
  t.deepEqual(ticksOf({ label: '', scale: 'linear' }, 0, 55), [0, 10, 20, 30, 40, 50]);
  t.deepEqual(spread([50, 52, 10], 15, 100), [50, 65, 10], 'labels keep apart');
  t.deepEqual(spread([90, 95], 15, 100), [85, 100], 'and above the axis');
  t.notOk(/NaN|Infinity|undefined/.test(svgOf(plotsOf(sia)[0] as Plot)));
  t.end();
});

test('the report is one file that needs nothing else', (t) => {
  const html = reportHtml([sia, kernels]);
  t.equal(html.match(/<svg/g)?.length, 4);
  t.ok(html.includes('a &lt;fast&gt; device') && !html.includes('<fast>'), 'names are escaped');
  t.ok(html.includes('a software device'), 'and say what they are');
  t.ok(html.includes('prefers-color-scheme: dark'));
  t.notOk(/<script|<link|src=|url\(|https?:|NaN|Infinity/.test(html));
  t.end();
});

test('spanwise bench report', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-report-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [a, b, bad, out] = ['a.json', 'b.json', 'bad.json', 'report.html'].map((name) => join(folder, name));
  writeFileSync(a, JSON.stringify(sia));
  writeFileSync(b, JSON.stringify(kernels));
  writeFileSync(bad, '{"rows": 1}');
  const done = await spanwise(['bench', 'report', '--in', a, b, '--out', out]);
  t.equal(done.status, 0, done.stderr);
  t.match(readFileSync(out, 'utf8'), /^<!doctype html>/);
  const refused = await spanwise(['bench', 'report', '--in', a, bad]);
  t.equal(refused.status, 2);
  t.match(refused.stderr, /bad\.json is not the document of a benchmark/);
  t.match((await spanwise(['bench', 'report'])).stderr, /--in F is missing/);
  t.equal((await spanwise(['bench', 'sia', 'surplus'])).status, 2, 'no other benchmark takes files');
});

test('names at the right of a plot do not lie upon each other, nor beyond its edge', (t) => {
  const points = [
    { x: 0, y: 0 },
    { x: 1, y: 1 },
  ];
  const axis = { label: '', scale: 'linear' } as const;
  const common = { title: '', caption: '', x: axis, y: axis };
  const plot = svgOf({
    ...{ ...common, kind: 'lines', series: [{ name: 'data', points }] },
    guides: [{ name: 'guide', points }],
  });
  const [data, guide] = ['data', 'guide'].map((name) =>
    Number(new RegExp(`y="([\\d.]+)"[^>]*>${name}<`).exec(plot)![1]),
  );
  t.ok(Math.abs(data - guide) >= 12, `lines ${data} and ${guide}`);

  const map = { title: 'relation words attending to entity words', figures: '', weights: Float64Array.of(1) };
  const width = Number(/width="(\d+)"/.exec(heatmapsSvg(['a'], [[map]], ''))![1]);
  t.ok(width > 8 * map.title.length + 24, `a picture of ${width} pixels holds its title`);
  t.end();
});

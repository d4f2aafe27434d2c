/** The bar plots of a benchmark's document: rows that are few cases of several sides. */
import type { Bar, BarPlot } from '../src/plots/bars.ts';
import type { Axis } from '../src/plots/plot.ts';
import type { BenchDocument, BenchRow } from './harness.ts';

const milliseconds: Axis = { label: 'ms', scale: 'linear' };
const percent: Axis = { label: 'F1, %', scale: 'linear' };
const byteAxis: Axis = { label: 'bytes at most', scale: 'linear', unit: 'bytes' };
const numeric = (row: BenchRow, key: string): number => Number(row[key]);
const distinct = (rows: readonly BenchRow[], key: string): string[] => [
  ...new Set(rows.map((row) => String(row[key]))),
];

/** What the rows of one group and series are drawn as; a row without the number has no bar. */
interface Table {
  title: string;
  caption: string;
  x: Axis;
  origin?: number;
  /** The column, or columns, that name a group. */
  by: (row: BenchRow) => string;
  /** For each series: its name, and its value in a row; its range where there is one. */
  series: readonly {
    name: string;
    value: (row: BenchRow) => unknown;
    range?: (row: BenchRow) => readonly [unknown, unknown];
  }[];
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

function barPlot(rows: readonly BenchRow[], { title, caption, x, origin, by, series }: Table): BarPlot[] {
  const groups = [...new Set(rows.map(by))].map((name) => ({
    name,
    bars: rows
      .filter((row) => by(row) === name)
      .flatMap((row) =>
        series.flatMap(({ value, range }, i): Bar[] => {
          const found = value(row);
          if (!isNumber(found)) return [];
          const ends = range?.(row) ?? [];
          return [
            {
              series: i,
              value: found,
              ...(ends.every(isNumber) && ends.length === 2 ? { range: ends as [number, number] } : {}),
            },
          ];
        }),
      )
      .sort((a, b) => a.series - b.series),
  }));
  const filled = groups.filter(({ bars }) => bars.length > 0);
  return filled.length > 0
    ? [{ kind: 'bars', title, caption, x, origin, series: series.map(({ name }) => name), groups: filled }]
    : [];
}

const column = (name: string, key: string, from?: string, to?: string): Table['series'][number] => ({
  name,
  value: (row) => row[key],
  ...(from !== undefined && to !== undefined
    ? { range: (row: BenchRow) => [row[from], row[to]] as const }
    : {}),
});

/** How many times as long the peers take as Spanwise, case by case. */
function peerBars({ rows }: BenchDocument): BarPlot[] {
  const peers = distinct(rows, 'peer').filter((peer) => peer !== 'spanwise');
  return barPlot(rows, {
    title: 'Time against Spanwise',
    caption: 'Medians; 1 is Spanwise’s own time, bars to the right take longer.',
    x: { label: 'times as long', scale: 'log' },
    origin: 1,
    by: (row) => String(row.case),
    series: peers.map((peer) => ({
      name: peer,
      value: (row) => (row.peer === peer ? row.ratioToOurs : undefined),
    })),
  });
}

const contextBars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'Context attention',
    caption: 'Device time, median and quartiles. Lower is better.',
    x: milliseconds,
    by: (row) => `${String(row.pass)}, L = ${String(row.L)}`,
    series: [
      column('all spans at once', 'ms', 'q1', 'q3'),
      column('an attention a span', 'naiveMs', 'naiveQ1', 'naiveQ3'),
    ],
  });

function spanScoreBars({ rows }: BenchDocument): BarPlot[] {
  const forms = distinct(rows, 'form');
  const of = (key: string): Table['series'] =>
    forms.map((form) => ({ name: form, value: (row) => (row.form === form ? row[key] : undefined) }));
  const by = (row: BenchRow) => String(row.pass);
  return [
    ...barPlot(rows, {
      title: 'Time',
      caption: 'Medians. Lower is better.',
      x: milliseconds,
      by,
      series: of('ms'),
    }),
    ...barPlot(rows, {
      title: 'Memory',
      caption: 'What is kept, tables included.',
      x: { ...byteAxis, label: 'bytes kept' },
      by,
      series: of('keptBytes'),
    }),
  ];
}

function table6Bars({ rows }: BenchDocument): BarPlot[] {
  const by = (row: BenchRow) => String(row.name);
  return [
    ...barPlot(rows, {
      title: 'Time',
      caption: 'One run. Lower is better.',
      x: milliseconds,
      by,
      series: [column('forward pass', 'ms'), column('training step', 'stepMs')],
    }),
    ...barPlot(rows, {
      title: 'Memory',
      caption: 'The most that was live at once, weights included.',
      x: byteAxis,
      by,
      series: [column('forward pass', 'peakBytes'), column('training step', 'stepPeakBytes')],
    }),
  ];
}

const table7Bars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'Throughput',
    caption: 'By batch. Higher is better.',
    x: { label: 'texts a second', scale: 'linear' },
    by: (row) => String(row.name),
    series: distinct(rows, 'batch').map((batch) => ({
      name: `batch ${batch}`,
      value: (row) => (String(row.batch) === batch ? row.throughput : undefined),
    })),
  });

const f1Bars = (rows: readonly BenchRow[], by: Table['by'], caption: string): BarPlot[] =>
  barPlot(rows, {
    ...{ title: 'Scores', caption, x: percent, by },
    series: [
      column('NER', 'ner'),
      column('RE', 're'),
      column('RE+', 'rePlus'),
      column('entities', 'f1'),
    ].filter(({ value }) => rows.some((row) => isNumber(value(row)))),
  });

const workBars = (rows: readonly BenchRow[], by: Table['by'], key: string): BarPlot[] =>
  barPlot(rows, {
    ...{ title: 'Work', caption: 'Counted, not timed. Lower is better.', by },
    x: { label: 'MFLOP a training step', scale: 'linear' },
    series: [{ name: 'training step', value: (row) => numeric(row, key) / 1e6 }],
  });

function stsnBars({ rows }: BenchDocument): BarPlot[] {
  const by = (row: BenchRow) => String(row.variant);
  return [...f1Bars(rows, by, 'Test F1, mean over the seeds.'), ...workBars(rows, by, 'stepFlops')];
}

/** By variant, the mean of its seeds with the least and the most. */
function ceremBars({ rows }: BenchDocument): BarPlot[] {
  const means = distinct(rows, 'variant').map((variant) => {
    const f1 = rows.filter((row) => row.variant === variant).map((row) => numeric(row, 'f1'));
    return {
      variant,
      f1: f1.reduce((a, b) => a + b, 0) / f1.length,
      least: Math.min(...f1),
      most: Math.max(...f1),
    };
  });
  return barPlot(means, {
    ...{ title: 'Scores', caption: 'Test entity F1, mean, least and most of the seeds.', x: percent },
    by: (row) => String(row.variant),
    series: [column('entities', 'f1', 'least', 'most')],
  });
}

function modelBars({ rows }: BenchDocument): BarPlot[] {
  const byName = new Map<string, BenchRow>();
  const by = ({ model, variant }: BenchRow): string => `${String(model)} ${String(variant)}`;
  // A mean stands behind the rows of its seeds.
  for (const row of rows) byName.set(by(row), { ...byName.get(by(row)), ...row });
  const systems = [...byName.values()];
  return [
    ...f1Bars(systems, by, 'Test F1; the mean where there are several seeds.'),
    ...workBars(systems, by, 'stepFlops'),
  ];
}

const hostBars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'Host time a step',
    caption:
      'On a device that costs nothing, beside the floor of the same dispatches. Medians; lower is better.',
    x: milliseconds,
    by: (row) => String(row.case),
    series: [column('step', 'hostMs'), column('floor', 'floorMs')],
  });

const engineBars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'The suite',
    caption: 'Compiling included, each engine once. Lower is better.',
    x: { label: 'seconds', scale: 'linear' },
    by: (row) => `${String(row.engine)}, ${String(row.adapter)}`,
    series: [column('all of it', 'seconds')],
  });

const fuzzBars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'What became of the inputs',
    caption: 'Of those that a reader was tried on; the rest shows a fault.',
    x: { label: 'percent', scale: 'linear' },
    by: (row) => String(row.reader),
    series: (['read', 'refused'] as const).map((name) => ({
      name,
      value: (row) => (100 * numeric(row, name)) / numeric(row, 'inputs'),
    })),
  });

/** By kernel, the device that is farthest off, with the least and the most. */
function accuracyBars({ rows }: BenchDocument): BarPlot[] {
  const kernels = distinct(rows, 'kernel').map((kernel) => {
    const ulps = rows.filter((row) => row.kernel === kernel).map((row) => numeric(row, 'ulps'));
    return { kernel, least: Math.min(...ulps), most: Math.max(...ulps) };
  });
  return barPlot(kernels, {
    title: 'The worst element of each kernel',
    caption: 'On the device where it is farthest off, and the least and most of all. Lower is better.',
    x: { label: "ULP of its tensor's largest number", scale: 'linear' },
    by: (row) => String(row.kernel),
    series: [column('worst element', 'most', 'least', 'most')],
  });
}

const killBars = ({ rows }: BenchDocument): BarPlot[] =>
  barPlot(rows, {
    title: 'Kills',
    caption: 'By what the training was at.',
    x: { label: 'kills', scale: 'linear' },
    by: (row) => String(row.phase),
    series: [column('kills', 'kills')],
  });

/** By benchmark. */
export const barPlotters: Readonly<Record<string, (document: BenchDocument) => BarPlot[]>> = {
  linear: peerBars,
  peers: peerBars,
  'context-attention': contextBars,
  'span-score': spanScoreBars,
  table6: table6Bars,
  table7: table7Bars,
  stsn: stsnBars,
  cerem: ceremBars,
  models: modelBars,
  host: hostBars,
  engines: engineBars,
  fuzz: fuzzBars,
  accuracy: accuracyBars,
  kills: killBars,
};

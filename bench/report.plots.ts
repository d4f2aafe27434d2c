/** The plots of a benchmark's document. */
import type { BarPlot } from '../src/plots/bars.ts';
import type { BenchDocument, BenchRow } from './harness.ts';
import { barPlotters } from './report.bars.ts';
import type { Axis, Plot, Point, Series } from '../src/plots/plot.ts';

const PASSES = ['forward', 'backward'];
/** The scales of the plots against length. */
export const MAIN_SCALES = '2,3,4,5,6';

const number = (row: BenchRow, key: string): number => Number(row[key]);
const scalesOf = (row: BenchRow): readonly unknown[] => (Array.isArray(row.scales) ? row.scales : []);
const distinct = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

/** The sides of `bench sia`: name, column, name among the quartiles. */
const SIDES = [
  ['self-attention', 'selfMs', 'self'],
  ['segment-attention', 'siaMs', 'sia'],
  ['scale by scale', 'naiveMs', 'naive'],
] as const;

function point(row: BenchRow, x: number, column: string, side: string): Point {
  const quartiles = (row.quartiles as Record<string, { q1: number; q3: number }> | undefined)?.[side];
  return { x, y: number(row, column), ...(quartiles ? { range: [quartiles.q1, quartiles.q3] } : {}) };
}

const sides = (rows: readonly BenchRow[], x: (row: BenchRow) => number): Series[] =>
  SIDES.map(([name, column, side]) => ({
    name,
    points: rows.map((row) => point(row, x(row), column, side)).sort((a, b) => a.x - b.x),
  }));

const tokens = (ticks: number[]): Axis => ({ label: 'L, tokens', scale: 'log', ticks });

function siaPlots({ rows, memory }: BenchDocument): Plot[] {
  const shape = rows.length > 0 ? `${number(rows[0], 'heads')} heads of ${number(rows[0], 'headSize')}` : '';
  const plots = PASSES.flatMap((pass): Plot[] => {
    const ofPass = rows.filter((row) => row.pass === pass);
    const byLength = ofPass.filter((row) => String(row.scales) === MAIN_SCALES);
    const lengths = distinct(byLength.map((row) => number(row, 'L')));
    const byCount = new Map<number, BenchRow[]>();
    for (const row of ofPass) byCount.set(number(row, 'L'), [...(byCount.get(number(row, 'L')) ?? []), row]);
    const counted = [...byCount.entries()].filter(
      ([, of]) => distinct(of.map((r) => scalesOf(r).length)).length > 2,
    );
    return [
      ...(lengths.length > 1
        ? [
            {
              title: `Cost against length, ${pass}`,
              caption: `Scales ${MAIN_SCALES}; ${shape}; device time, median and quartiles. Lower is better.`,
              ...{ x: tokens(lengths), y: { label: 'ms', scale: 'log' as const } },
              ...{ series: sides(byLength, (row) => number(row, 'L')), kind: 'lines' as const },
            },
          ]
        : []),
      ...counted.map(([L, of]): Plot => {
        const counts = distinct(of.map((row) => scalesOf(row).length));
        return {
          title: `Cost against number of scales, ${pass}`,
          caption: `L = ${L}; scales 2, 3, …; ${shape}; device time, median and quartiles. Lower is better.`,
          x: { label: 'number of scales', scale: 'linear', ticks: counts },
          y: { label: 'ms', scale: 'linear' },
          ...{ series: sides(of, (row) => scalesOf(row).length), kind: 'lines' },
        };
      }),
    ];
  });
  return [...plots, ...memoryPlots(Array.isArray(memory) ? (memory as BenchRow[]) : [], shape)];
}

function memoryPlots(rows: readonly BenchRow[], shape: string): Plot[] {
  return PASSES.flatMap((pass): Plot[] => {
    const ofPass = rows.filter((row) => row.pass === pass);
    if (ofPass.length === 0) return [];
    return [
      {
        title: `Memory against length, ${pass}`,
        caption: `What is held beside inputs and outputs, from the plans; scales ${MAIN_SCALES}; ${shape}.`,
        x: tokens(distinct(ofPass.map((row) => number(row, 'L')))),
        y: { label: 'memory', scale: 'log', unit: 'bytes' },
        series: SIDES.map(([name, , side]) => ({
          name,
          points: ofPass.map((row) => ({ x: number(row, 'L'), y: number(row, side) })),
        })),
        kind: 'lines',
      },
    ];
  });
}

function roofline({ rows, peaks }: BenchDocument): Plot[] {
  const { gflops, gbps } = (peaks ?? {}) as { gflops?: number; gbps?: number };
  const busy = rows.filter((row) => number(row, 'gflops') > 0 && number(row, 'bytes') > 0);
  if (gflops === undefined || gbps === undefined || busy.length === 0) return [];
  const intensity = (row: BenchRow): number => number(row, 'flops') / number(row, 'bytes');
  const all = busy.map(intensity);
  const ridge = gflops / gbps;
  const [low, high] = [Math.min(...all, ridge / 2), Math.max(...all, ridge * 2)];
  return [
    {
      title: 'Roofline',
      caption:
        `Roof: the measured peaks, ${gflops.toPrecision(3)} GFLOP/s and ${gbps.toPrecision(3)} GB/s. ` +
        'Data that stay in a cache can go past the slope. Higher is better.',
      x: { label: 'FLOP per byte', scale: 'log' },
      y: { label: 'GFLOP/s', scale: 'log' },
      series: PASSES.map((pass) => ({
        name: pass,
        points: busy
          .filter((row) => row.pass === pass)
          .map((row) => ({ x: intensity(row), y: number(row, 'gflops'), label: String(row.kernel) })),
      })).filter(({ points }) => points.length > 0),
      guides: [
        {
          name: `${gflops.toPrecision(3)} GFLOP/s`,
          points: [low, ridge, high].map((x) => ({ x, y: Math.min(gflops, gbps * x) })),
        },
      ],
      kind: 'scatter',
    },
  ];
}

function soakPlots({ rows }: BenchDocument): Plot[] {
  if (rows.length === 0) return [];
  const line = (name: string, key: string): Series => ({
    name,
    points: rows.map((row) => ({ x: number(row, 'step'), y: number(row, key) })),
  });
  return [
    {
      title: 'Memory over steps',
      caption: 'Live is what tensors hold; pooled is what is kept for the next ones.',
      x: { label: 'step', scale: 'log' },
      y: { label: 'memory', scale: 'linear', unit: 'bytes' },
      ...{ series: [line('live', 'liveBytes'), line('pooled', 'pooledBytes')], kind: 'lines' },
    },
  ];
}

/** What a process holds while it does `what` again and again. */
const residentPlots =
  (what: string, key: string) =>
  ({ rows }: BenchDocument): Plot[] =>
    rows.length < 2
      ? []
      : [
          {
            title: `Memory over ${what}`,
            caption: 'Resident memory of the process. Flat is what it should be.',
            x: { label: what, scale: 'linear' },
            y: { label: 'memory', scale: 'linear', unit: 'bytes' },
            series: [
              {
                name: 'resident',
                points: rows.map((row) => ({ x: number(row, key), y: number(row, 'residentBytes') })),
              },
            ],
            kind: 'lines',
          },
        ];

/** Lanes and multiply-adds of the products, by compiler. */
function formPlots({ rows }: BenchDocument): Plot[] {
  const share = ({ loop }: BenchRow): number => {
    const { fma = 0, all = 0 } = (loop ?? {}) as { fma?: number; all?: number };
    return all > 0 ? fma / all : 0;
  };
  const tile = (row: BenchRow): string => /^matmul-tiled.*TILE=(\d+)/.exec(String(row.pipeline))?.[1] ?? '';
  const products = rows.filter((row) => tile(row) !== '' && share(row) > 0 && number(row, 'lanes1') > 0);
  if (products.length === 0) return [];
  const families = [...new Set(products.map((row) => String(row.family)))];
  return [
    {
      title: 'Tiled products: lanes, and multiply-adds of the loop',
      caption:
        'Of a compiler, not of a GPU. To the right more lanes at batch 1, above less beside the multiply-adds.',
      x: { label: 'lanes at batch 1', scale: 'log' },
      y: { label: 'multiply-adds of all instructions', scale: 'linear' },
      series: families.map((family) => ({
        name: family,
        points: products
          .filter((row) => row.family === family)
          .map((row) => ({ x: number(row, 'lanes1'), y: share(row), label: `tile ${tile(row)}` })),
      })),
      kind: 'scatter',
    },
  ];
}

const plotters: Readonly<Record<string, (document: BenchDocument) => (Plot | BarPlot)[]>> = {
  sia: siaPlots,
  kernels: roofline,
  soak: soakPlots,
  'soak-cycles': residentPlots('cycles', 'cycle'),
  'soak-hour': residentPlots('minutes', 'minutes'),
  'soak-lines': residentPlots('lines', 'line'),
  'gpu-forms': formPlots,
  ...barPlotters,
};

/** The plots that a document's rows are enough for; none for a benchmark that is not known. */
export function plotsOf(document: BenchDocument): (Plot | BarPlot)[] {
  return Object.hasOwn(plotters, document.name) ? plotters[document.name](document) : [];
}

/** `spanwise tune`: times the forms of matrix products on this device and keeps the answers in a file. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { distinctClasses, productsOfLinear, tuneProduct } from '../gpu/autotune.ts';
import { cacheFolder } from '../gpu/software.ts';
import { expectSize } from '../../kernels/plan.ts';
import { makeFolders } from '../io/make-folders.ts';
import { matmulForms } from '../../kernels/shared/matmul-form.ts';
import { shapeClass } from '../../kernels/shared/matmul-variant.ts';
import {
  parseTuning,
  productShape,
  tuningMismatch,
  tuningOf,
  type Product,
  type TunedProduct,
  type Tuning,
} from '../gpu/tuning.ts';
import type { DeviceInfo } from '../gpu/device.ts';
import { readTextFile, writeFileAtomic } from '../io/files.ts';
import { json, type Arguments, type Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { print, printJson, table } from './print.ts';
import { tell } from './printable.ts';
import { Progress } from './progress.ts';

/** The linear layers of a BERT base encoder at 256 tokens. */
const SHAPES = '256x768x768,256x768x3072,256x3072x768';

type LinearShape = readonly [rows: number, inputs: number, outputs: number];

/** `MxKxN,…`. Errors: InputError that names the part. */
function parseShapes(args: Arguments): LinearShape[] {
  return (args.optional('shapes') ?? SHAPES).split(',').map((part) => {
    const sizes = /^([1-9]\d{0,8})x([1-9]\d{0,8})x([1-9]\d{0,8})$/.exec(part.trim());
    if (!sizes) args.fail(`--shapes must be a list such as ${SHAPES}, got "${part}"`);
    return [Number(sizes[1]), Number(sizes[2]), Number(sizes[3])];
  });
}

/** A file of the cache folder for each device. */
const defaultPath = ({ name }: DeviceInfo): string =>
  join(cacheFolder(), `tuning-${name.replace(/[^\w.]+/g, '-')}.json`);

/** What the file holds that is still valid; nothing where there is none, or one of another device or version. */
function answersIn(path: string, info: DeviceInfo): readonly TunedProduct[] {
  if (!existsSync(path)) return [];
  const tuning = parseTuning(readTextFile(path, 'tuning'), path);
  const mismatch = tuningMismatch(tuning, info);
  if (mismatch) tell(`spanwise: ${path} is replaced: ${mismatch}`);
  return mismatch ? [] : tuning.products;
}

const classOf = (product: Product): string => shapeClass(productShape(product));

export const tune: Command = {
  name: 'tune',
  summary: 'Times the forms of matrix products on this device and keeps the fastest in a file',
  options: {
    shapes: { value: 'MxKxN,…', doc: `linear layers: rows, inputs, outputs (default ${SHAPES})` },
    out: { path: 'F', doc: 'the file (default: one for each device in the cache folder)' },
    json,
  },
  notes:
    'The file is written after each class of shapes; what it has already is not measured again. Nothing uses it unless told to: SPANWISE_TUNING=F before any\n' +
    'command, or openRuntime({ tuning: F }). docs/tuning.md says what changes.',
  run: (args) =>
    withDevice(
      () => {
        const out = args.optional('out');
        if (out !== undefined) checkWritable(out, args);
        return { shapes: parseShapes(args), out };
      },
      async (runtime, { shapes, out }) => {
        const { info, caps } = runtime;
        const most = caps.maxStorageBufferBindingSize / 4;
        for (const [rows, inputs, outputs] of shapes)
          for (const shape of [
            [rows, inputs],
            [outputs, inputs],
            [rows, outputs],
          ])
            expectSize('tune', '--shapes', shape, most);
        const path = out ?? defaultPath(info);
        const wanted = distinctClasses(shapes.flatMap((shape) => productsOfLinear(...shape, caps)));
        const known = answersIn(path, info);
        const found = new Map(known.map((product) => [classOf(product), product]));
        const keep = (): Tuning => {
          const tuning = tuningOf(info, [...found.values()]);
          writeFileAtomic(path, `${JSON.stringify(tuning, null, 2)}\n`);
          return tuning;
        };
        if (out === undefined) makeFolders(cacheFolder(), 0o700);
        const progress = new Progress();
        for (const product of wanted) {
          const key = classOf(product);
          if (found.has(key)) continue;
          progress.show(`tune: ${key}`);
          found.set(key, await tuneProduct(runtime, product));
          keep();
        }
        progress.clear();
        const tuning = keep();
        if (args.flag('json')) return printJson({ file: path, ...tuning });
        const rows = tuning.products.map((product) => [
          classOf(product),
          product.form,
          ...matmulForms.map((form) => product.ms[form]?.toPrecision(3) ?? ''),
        ]);
        await print(
          table([['m x n x k x batches', 'form', ...matmulForms.map((form) => `${form} ms`)], ...rows]),
        );
        await print(`\n${path}\n`);
      },
    ),
};

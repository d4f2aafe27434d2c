import test from 'tape';
import { defaultCaps } from '../../kernels/plan.ts';
import { relativeError } from '../../kernels/shared/relative-error.ts';
import { matmulForms, type MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { chooseMatmul, shapeClass } from '../../kernels/shared/matmul-variant.ts';
import { distinctClasses, productsOfLinear, tuneProduct, type FormTimer } from '../../src/gpu/autotune.ts';
import {
  parseTuning,
  productShape,
  tuneDevice,
  tuningMismatch,
  tuningOf,
  type Product,
  type Tuning,
} from '../../src/gpu/tuning.ts';
import { InputError, kernelNamed, openRuntime, type Runtime } from '../../src/node.ts';
import type { DeviceInfo, OpenedDevice } from '../../src/gpu/device.ts';

const runtime = await openRuntime();
test.onFinish(() => runtime.close());

const product: Product = { m: 40, n: 36, k: 44, batches: 2, transA: false, transB: true };
const info: DeviceInfo = {
  ...{ name: 'card', vendor: 'maker', architecture: 'kind', driver: 'driver 1' },
  ...{ software: false, features: [] },
};
const answers = (form: MatmulForm): Tuning =>
  tuningOf(info, [{ ...product, form, ms: { default: 2, [form]: 1 } }]);

/** An opened device as far as a tuning looks at it. */
const opened = { caps: defaultCaps, info } as OpenedDevice;

test('tuning: a class of shapes is layout, powers of two from the sizes on, alignment', (t) => {
  const classOf = (changes: Partial<Product>) => shapeClass(productShape({ ...product, ...changes }));
  t.equal(classOf({}), 'NT 64x64x64x2');
  t.equal(classOf({ m: 1, n: 128, k: 256, batches: 1, transB: false }), 'NN 1x128x256x1');
  t.equal(classOf({ m: 132, transA: true, transB: false }), 'TN 256x64x64x2');
  t.equal(classOf({ k: 45 }), 'NT 64x64x64x2 unaligned', 'rows of A and B');
  t.equal(classOf({ m: 41 }), 'NT 64x64x64x2', 'rows alone');
  t.equal(classOf({ m: 41, transA: true, transB: false }), 'TN 64x64x64x2 unaligned');
  t.end();
});

test('tuning: an answer changes the choice for its class alone', (t) => {
  const shape = productShape(product);
  const untuned = chooseMatmul(shape, defaultCaps);
  const variants = matmulForms.map((form) => chooseMatmul(shape, tuneDevice(opened, answers(form)).caps));
  t.deepEqual(
    variants.map(({ shader, rows, columns }) => `${shader.name} ${rows}x${columns}`),
    [
      'matmul 32x32',
      'matmul 32x32',
      'matmul 32x64',
      'matmul 64x16',
      'matmul 32x32', // without subgroups there are no quads: the default
      'matmul 32x32',
      'matmul-tiled 32x32',
      'matmul-tiled 32x32',
      'matmul-tiled 64x64',
      'matmul-tiled 128x128',
    ],
  );
  t.deepEqual(variants[0], untuned, 'default');
  const subgroups = { ...tuneDevice(opened, answers('quads-32')).caps, subgroupMinSize: 4 };
  t.equal(chooseMatmul(shape, subgroups).shader.name, 'matmul-quads', 'with subgroups');
  const { caps } = tuneDevice(opened, answers('tiled-64'));
  const other = { ...shape, m: 65 };
  t.deepEqual(chooseMatmul(other, caps), chooseMatmul(other, defaultCaps), 'another class');
  t.ok(Object.isFrozen(caps) && Object.isFrozen(caps.tuning), 'frozen');
  t.equal(opened.caps.tuning, undefined, 'the device given is as it was');
  t.end();
});

test('tuning: it is for one device and one version', (t) => {
  const tuning = answers('direct-4');
  t.equal(tuningMismatch(tuning, info), undefined);
  t.equal(
    tuningMismatch(tuning, { ...info, driver: 'driver 2' }),
    'its device has driver "driver 1", this one "driver 2"',
  );
  t.match(tuningMismatch({ ...tuning, version: '0.0.0' }, info) ?? '', /^it is of version 0\.0\.0, this is /);
  t.throws(
    () => tuneDevice(opened, { ...tuning, version: '0.0.0' }),
    /the tuning does not fit: it is of version/,
  );
  t.end();
});

test('tuning: a file that is not one is refused in one line', (t) => {
  const whole = answers('direct-4');
  t.deepEqual(parseTuning(JSON.stringify(whole), 'F'), whole, 'back and forth');
  const [first] = whole.products;
  const bad: [what: string, text: string, message: RegExp][] = [
    ['empty', '', /^F: line 1: not JSON/],
    ['cut short', JSON.stringify(whole).slice(0, 100), /^F: line 1: not JSON/],
    ['a list', '[]', /^F: not a JSON object$/],
    [
      'another document',
      '{"rows":[]}',
      /^F: not a tuning file: it needs "version", "device" and "products"$/,
    ],
    [
      'no driver',
      JSON.stringify({ ...whole, device: { name: 'a', vendor: 'b', architecture: '' } }),
      /"driver"$/,
    ],
    ['no device', JSON.stringify({ ...whole, device: null }), /^F: "device" needs a text "name"$/],
    ...(
      [
        ['m', 0, /^F: products\[0\]: "m" must be a whole number/],
        ['batches', 1.5, /"batches" must be a whole number/],
        ['transA', 1, /"transA" must be true or false/],
        ['form', 'tiled-256', /"form" must be one of default, direct-4, /],
        ['form', 'toString', /"form" must be one of/],
        ['ms', { fast: 1 }, /"ms" must be milliseconds by form/],
        ['ms', { default: null }, /"ms" must be milliseconds by form/],
      ] as const
    ).map(([field, value, message]): [string, string, RegExp] => [
      `${field} ${JSON.stringify(value)}`,
      JSON.stringify({ ...whole, products: [{ ...first, [field]: value }] }),
      message,
    ]),
    ['no product', JSON.stringify({ ...whole, products: [null] }), /products\[0\]: is not an object/],
  ];
  for (const [what, text, message] of bad) {
    try {
      parseTuning(text, 'F');
      t.fail(what);
    } catch (error) {
      t.ok(error instanceof InputError && message.test(error.message), `${what}: ${String(error)}`);
    }
  }
  t.end();
});

test('tuning: the products of linear and its gradients', (t) => {
  const of = (rows: number, caps = defaultCaps) =>
    productsOfLinear(rows, 64, 32, caps).map((p) => shapeClass(productShape(p)));
  t.deepEqual(of(512, { ...defaultCaps, software: true }), [
    'NT 512x32x64x1',
    'NN 512x64x32x1',
    'TN 32x64x512x1',
  ]);
  t.deepEqual(of(1024), ['NT 1024x32x64x1', 'NN 1024x64x32x1', 'TN 32x64x256x4'], 'split over rows on a GPU');
  const twice = [
    ...productsOfLinear(512, 64, 32, defaultCaps),
    ...productsOfLinear(511, 64, 32, defaultCaps),
  ];
  t.equal(distinctClasses(twice).length, 4, 'one of each class');
  t.end();
});

/** A clock that knows the milliseconds of every form, and what it was asked. */
function clock(ms: Partial<Record<MatmulForm, number>>): { time: FormTimer; asked: [MatmulForm, number][] } {
  const asked: [MatmulForm, number][] = [];
  return {
    asked,
    time(form, record, repeats) {
      for (let i = 0; i < repeats; i++) record();
      asked.push([form, repeats]);
      return Promise.resolve(repeats * (ms[form] ?? NaN));
    },
  };
}

test('tuning: the fastest form by a margin, in turns', async (t) => {
  const fast = clock({
    default: 10,
    'direct-4': 9,
    'direct-8': 10,
    'direct-16': 30,
    'quads-16': 30,
    'quads-32': 30,
    'tiled-32': 40,
    'split-32': 40,
    'tiled-64': 8,
    'tiled-128': 20,
  });
  const tuned = await tuneProduct(runtime, product, fast.time);
  t.equal(tuned.form, 'tiled-64');
  t.equal(tuned.ms['tiled-64'], 8);
  const forms = Object.keys(tuned.ms);
  t.ok(forms.length >= 4, `${forms.length} forms that are not the same`);
  t.deepEqual(
    fast.asked.slice(forms.length, 2 * forms.length).map(([form]) => form),
    fast.asked.slice(2 * forms.length, 3 * forms.length).map(([form]) => form),
    'one sample of each a round',
  );
  t.deepEqual(
    Object.fromEntries(fast.asked.slice(-forms.length)),
    Object.fromEntries(forms.map((form) => [form, Math.ceil(20 / (tuned.ms[form as MatmulForm] as number))])),
    'as often as 20 ms take',
  );
  const close = clock({
    default: 10,
    'direct-4': 11,
    'direct-8': 10,
    'direct-16': 30,
    'quads-16': 30,
    'quads-32': 30,
    'tiled-32': 40,
    'split-32': 40,
    'tiled-64': 9.6,
    'tiled-128': 20,
  });
  t.equal((await tuneProduct(runtime, product, close.time)).form, 'default', 'less than 5 % is noise');
  let calls = 0;
  const busy: FormTimer = (form, _, repeats) =>
    Promise.resolve(repeats * (form === 'default' && calls++ > 1 ? 30 : 10));
  const disturbed = await tuneProduct(runtime, product, busy);
  t.equal(disturbed.form, 'default', 'a median that others slowed down, but for its best sample');
  t.equal(disturbed.ms.default, 30);
});

test('tuning: every form computes the same, and openRuntime takes the answer', async (t) => {
  const [rows, inputs, outputs] = [40, 44, 36];
  const numbers = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));
  const out = async (on: Runtime): Promise<ArrayLike<number>> => {
    const x = on.upload(numbers(rows * inputs), [rows, inputs]);
    const weight = on.upload(numbers(outputs * inputs), [outputs, inputs]);
    return on.kernel(kernelNamed('linear'), { x, weight }).out.read();
  };
  const expected = await out(runtime);
  for (const form of ['direct-4', 'tiled-64'] as const) {
    const tuning = tuningOf(runtime.info, [{ ...product, batches: 1, form, ms: {} }]);
    const tuned = await openRuntime({ tuning });
    try {
      t.deepEqual(tuned.caps.tuning, { 'NT 64x64x64x1': form });
      t.equal(tuned.info.tuned, 1, 'reports say so');
      const error = relativeError(await out(tuned), expected);
      t.ok(error <= 1e-4, `${form}: relative error ${error.toExponential(1)}`);
    } finally {
      tuned.close();
    }
  }
});

test('tuning: one of another device is left aside with a note', async (t) => {
  const notes: string[] = [];
  const other = await openRuntime({ tuning: answers('direct-4'), note: (line) => notes.push(line) });
  t.equal(other.caps.tuning, undefined);
  t.equal(notes.length, 1);
  t.match(notes[0], /^the tuning is left aside: its device has name "card", this one /);
  other.close();
});

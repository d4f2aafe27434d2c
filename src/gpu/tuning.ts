/** Answers of the autotuner: their file format, and what makes them valid on a device. Browser-safe. */
import { InputError } from '../../kernels/errors.ts';
import { matmulForms, type MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { shapeClass, type MatmulShape } from '../../kernels/shared/matmul-variant.ts';
import { version } from '../../package.json';
import { isObject, parseObject } from '../io/json.ts';
import type { DeviceInfo, OpenedDevice } from './device.ts';

/** A product of matrices stored without gaps, C [m, n] = A · B over k, `batches` times. */
export interface Product {
  m: number;
  n: number;
  k: number;
  batches: number;
  /** A is stored [k, m]. */
  transA: boolean;
  /** B is stored [n, k]. */
  transB: boolean;
}

/** A product, the form that was chosen for its class, and the milliseconds of every form that computed it rightly. */
export interface TunedProduct extends Product {
  form: MatmulForm;
  ms: Partial<Record<MatmulForm, number>>;
}

const deviceKeys = ['name', 'vendor', 'architecture', 'driver'] as const;
type DeviceKey = (typeof deviceKeys)[number];

/** What `spanwise tune` keeps: valid for one adapter, driver and version of the library. */
export interface Tuning {
  version: string;
  device: Pick<DeviceInfo, DeviceKey>;
  products: readonly TunedProduct[];
}

/** The answers for a device. */
export function tuningOf(info: DeviceInfo, products: readonly TunedProduct[]): Tuning {
  const { name, vendor, architecture, driver } = info;
  return { version, device: { name, vendor, architecture, driver }, products };
}

/** The shape that `chooseMatmul` sees. */
export const productShape = ({ m, n, k, batches, transA, transB }: Product): MatmulShape => ({
  ...{ m, n, k, batches, transA, transB },
  alignedA: (transA ? m : k) % 4 === 0,
  alignedB: (transB ? k : n) % 4 === 0,
  alignedC: n % 4 === 0,
});

const isForm = (name: unknown): name is MatmulForm => matmulForms.some((form) => form === name);

/** What is wrong with an element of `products`, or undefined. */
function problemOf(product: unknown): string | undefined {
  if (!isObject(product)) return 'is not an object';
  for (const field of ['m', 'n', 'k', 'batches'])
    if (!Number.isSafeInteger(product[field]) || (product[field] as number) < 1)
      return `"${field}" must be a whole number of at least 1`;
  for (const field of ['transA', 'transB'])
    if (typeof product[field] !== 'boolean') return `"${field}" must be true or false`;
  if (!isForm(product.form)) return `"form" must be one of ${matmulForms.join(', ')}`;
  const { ms } = product;
  if (!isObject(ms) || !Object.entries(ms).every(([form, time]) => isForm(form) && Number.isFinite(time)))
    return '"ms" must be milliseconds by form';
  return undefined;
}

/**
 * Reads the JSON text of a `Tuning`.
 * @param what the file's name for messages
 * @throws InputError, one line, naming `what` and the field, for anything but a whole `Tuning`
 */
export function parseTuning(text: string, what: string): Tuning {
  const value = parseObject(text, what);
  if (typeof value.version !== 'string' || !Array.isArray(value.products))
    throw new InputError(`${what}: not a tuning file: it needs "version", "device" and "products"`);
  const { device } = value;
  const nameless = deviceKeys.find((key) => !isObject(device) || typeof device[key] !== 'string');
  if (nameless) throw new InputError(`${what}: "device" needs a text "${nameless}"`);
  value.products.forEach((product, i) => {
    const problem = problemOf(product);
    if (problem) throw new InputError(`${what}: products[${i}]: ${problem}`);
  });
  return value as unknown as Tuning;
}

/** Why answers are not for this device and library, or undefined where they are. */
export function tuningMismatch(tuning: Tuning, info: DeviceInfo): string | undefined {
  if (tuning.version !== version) return `it is of version ${tuning.version}, this is ${version}`;
  const other = deviceKeys.find((key) => tuning.device[key] !== info[key]);
  return other && `its device has ${other} "${tuning.device[other]}", this one "${info[other]}"`;
}

/**
 * The device with the answers in its capabilities, for `new Runtime(…)`; its description says how many.
 * @throws InputError where the answers are of another adapter, driver or version: see `tuningMismatch`
 */
export function tuneDevice(opened: OpenedDevice, tuning: Tuning): OpenedDevice {
  const mismatch = tuningMismatch(tuning, opened.info);
  if (mismatch) throw new InputError(`the tuning does not fit: ${mismatch}`);
  const forms = tuning.products.map((product) => [shapeClass(productShape(product)), product.form]);
  const caps = Object.freeze({ ...opened.caps, tuning: Object.freeze(Object.fromEntries(forms)) });
  return { ...opened, caps, info: { ...opened.info, tuned: tuning.products.length } };
}

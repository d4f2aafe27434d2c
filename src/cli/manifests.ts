/** What the commands that export have in common: capabilities from a file, and the folder of a manifest. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Manifest } from '../../kernels/manifest/types.ts';
import { defaultCaps, type Caps } from '../../kernels/plan.ts';
import { makeFolder, readTextFile, writeFileAtomic, writeSafetensorsFile } from '../io/files.ts';
import type { NamedTensors } from '../io/safetensors.ts';
import type { Option } from './command.ts';
import { packageRoot } from './package-root.ts';

export const capsOption: Option = {
  value: 'FILE',
  doc: "what the device can do, as `doctor --json` says it (default: WebGPU's default limits)",
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Capabilities from a JSON file: fields of Caps, those that are absent as every device has them, or the report of
 * `spanwise doctor --json`; WebGPU's default limits without a file. Errors: InputError, one line with file and field.
 */
export function readCaps(path: string | undefined): Caps {
  if (path === undefined) return defaultCaps;
  let document: unknown;
  try {
    document = JSON.parse(readTextFile(path, 'capabilities'));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: is not JSON: ${(error as Error).message}`, { cause: error });
  }
  const given = isObject(document) && isObject(document.caps) ? document.caps : document;
  if (!isObject(given)) throw new InputError(`${path}: must hold a JSON object`);
  for (const [name, value] of Object.entries(given)) {
    const usual: unknown = (defaultCaps as unknown as Record<string, unknown>)[name];
    if (usual === undefined)
      throw new InputError(
        `${path}: "${name}" is no capability (they are: ${Object.keys(defaultCaps).join(', ')})`,
      );
    const fits =
      typeof value === typeof usual &&
      (typeof value !== 'number' || (Number.isSafeInteger(value) && value >= 0));
    if (!fits)
      throw new InputError(`${path}: "${name}" must be a ${typeof usual} such as ${JSON.stringify(usual)}`);
  }
  return Object.freeze({ ...defaultCaps, ...given });
}

/** JSON with a property a line, and lists of numbers on one. */
export const readable = (value: unknown): string =>
  `${JSON.stringify(value, null, 1).replace(/\[[\s\d.,eE+-]*\]/g, (list) => list.replace(/\s+/g, ''))}\n`;

/** Writes a manifest, its WGSL and files of tensors into a folder. */
export function writeManifest(
  folder: string,
  manifest: Manifest,
  shaders: Readonly<Record<string, string>>,
  tensors: Readonly<Record<string, NamedTensors>>,
): void {
  makeFolder(folder);
  for (const [name, text] of Object.entries(shaders)) writeFileAtomic(join(folder, name), `${text}\n`);
  for (const [name, all] of Object.entries(tensors)) writeSafetensorsFile(join(folder, name), all);
  writeFileAtomic(join(folder, 'manifest.json'), readable(manifest));
}

/** Puts the schema of manifests into a folder. */
export const writeSchema = (folder: string): void =>
  copyFileSync(join(packageRoot(), 'docs', 'manifest.schema.json'), join(folder, 'manifest.schema.json'));

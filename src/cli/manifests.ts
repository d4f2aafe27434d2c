/** What the commands that export have in common: capabilities from a file, and the folder of a manifest. */
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Manifest } from '../../kernels/manifest/types.ts';
import { defaultCaps, type Caps } from '../../kernels/plan.ts';
import { makeFolder, readTextFile, writeFileAtomic, writeSafetensorsFile } from '../io/files.ts';
import { isObject, parseObject } from '../io/json.ts';
import type { NamedTensors } from '../io/safetensors.ts';
import type { Option } from './command.ts';
import { packageRoot } from './package-root.ts';

export const capsOption: Option = {
  value: 'FILE',
  doc: "what the device can do, as `doctor --json` says it (default: WebGPU's default limits)",
};

/**
 * Capabilities from a JSON text: fields of Caps, those that are absent as every device has them, or the report of
 * `spanwise doctor --json`. Errors: InputError, one line with `path` and the line or the field.
 */
export function parseCaps(text: string, path: string): Caps {
  const document = parseObject(text, path);
  const given = isObject(document.caps) ? document.caps : document;
  for (const [name, value] of Object.entries(given)) {
    const usual: unknown = Object.hasOwn(defaultCaps, name) ? defaultCaps[name as keyof Caps] : undefined;
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

/** Capabilities from a file, see `parseCaps`; WebGPU's default limits without one. */
export const readCaps = (path: string | undefined): Caps =>
  path === undefined ? defaultCaps : parseCaps(readTextFile(path, 'capabilities'), path);

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

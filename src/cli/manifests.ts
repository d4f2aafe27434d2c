/** What the commands that export have in common: capabilities from a file, and the folder of a manifest. */
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Manifest } from '../../kernels/manifest/types.ts';
import { defaultCaps, type Caps } from '../../kernels/plan.ts';
import {
  makeFolder,
  namesIn,
  readFileChecked,
  readTextFile,
  writeCheckpointFolder,
  writeFileAtomic,
  type FileContent,
} from '../io/files.ts';
import { serializeSafetensorsPieces, type NamedTensors } from '../io/safetensors.ts';
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

const MANIFEST = 'manifest.json';

/**
 * Writes a manifest, its WGSL and files of tensors into a folder, whole or not at all. Where an earlier export lies there,
 * its shaders and tensors go.
 */
export function writeManifest(
  folder: string,
  manifest: Manifest,
  shaders: Readonly<Record<string, string>>,
  tensors: Readonly<Record<string, NamedTensors>>,
): void {
  makeFolder(folder);
  const before = namesIn(folder);
  const earlier = before.includes(MANIFEST)
    ? before.filter((name) => /\.(wgsl|safetensors)$/.test(name))
    : [];
  const files: Record<string, FileContent | null> = Object.fromEntries(earlier.map((name) => [name, null]));
  for (const [name, text] of Object.entries(shaders)) files[name] = `${text}\n`;
  for (const [name, all] of Object.entries(tensors)) files[name] = serializeSafetensorsPieces(all);
  writeCheckpointFolder(folder, { ...files, [MANIFEST]: readable(manifest) });
}

const SCHEMA = 'manifest.schema.json';

/** Puts the schema of manifests into a folder. */
export const writeSchema = (folder: string): void =>
  writeFileAtomic(join(folder, SCHEMA), readFileChecked(join(packageRoot(), 'docs', SCHEMA), 'schema'));

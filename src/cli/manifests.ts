/** What the commands that export have in common: capabilities from a file, and the folder of a manifest. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Manifest } from '../../kernels/manifest/types.ts';
import { checkCaps, defaultCaps, type Caps } from '../../kernels/plan.ts';
import {
  makeFolder,
  namesIn,
  readFileChecked,
  readTextFile,
  writeCheckpointFolder,
  writeFileAtomic,
  type FileContent,
} from '../io/files.ts';
import { isObject, parseObject } from '../io/json.ts';
import { serializeSafetensorsPieces, type NamedTensors } from '../io/safetensors.ts';
import { lockFolder } from '../tasks/lock.ts';
import type { Option } from './command.ts';
import { packageRoot } from './package-root.ts';

export const capsOption: Option = {
  path: 'FILE',
  doc: "what the device can do, as `doctor --json` says it (default: WebGPU's default limits)",
};

/**
 * Capabilities from a JSON text: fields of Caps, those that are absent as every device has them, or the report of
 * `spanwise doctor --json`. Errors: InputError, one line with `path` and the line or the field.
 */
export function parseCaps(text: string, path: string): Caps {
  const document = parseObject(text, path);
  const given = isObject(document.caps) ? document.caps : document;
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(defaultCaps, name));
  if (unknown !== undefined)
    throw new InputError(
      `${path}: "${unknown}" is no capability (they are: ${Object.keys(defaultCaps).join(', ')})`,
    );
  const caps = Object.freeze({ ...defaultCaps, ...given });
  checkCaps(caps, path);
  return caps;
}

/** Capabilities from a file, see `parseCaps`; WebGPU's default limits without one. */
export const readCaps = (path: string | undefined): Caps =>
  path === undefined ? defaultCaps : parseCaps(readTextFile(path, 'capabilities'), path);

/** JSON with a property a line, and lists of numbers on one. */
export const readable = (value: unknown): string =>
  `${JSON.stringify(value, null, 1).replace(/\[[\s\d.,eE+-]*\]/g, (list) => list.replace(/\s+/g, ''))}\n`;

const MANIFEST = 'manifest.json';

/** The files that a manifest names: its shaders, weights and test vectors. */
function filesOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(filesOf);
  if (!isObject(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    (key === 'shader' || key === 'file') && typeof inner === 'string' ? [inner] : filesOf(inner),
  );
}

/** The files of the export that lies in a folder, none where there is none. Errors: InputError where its manifest is not ours. */
function earlierFiles(folder: string): string[] {
  const path = join(folder, MANIFEST);
  if (!namesIn(folder).includes(MANIFEST)) return [];
  const manifest = parseObject(readTextFile(path, 'manifest'), path);
  if (manifest.format === 'spanwise-manifest')
    return [MANIFEST, ...new Set(filesOf(manifest))].filter((name) => namesIn(folder).includes(name));
  throw new InputError(`${path}: is no manifest of an earlier export; choose another folder`);
}

/**
 * Writes a manifest, its WGSL and files of tensors into a folder, whole or not at all. Where an earlier export lies there,
 * its shaders and tensors go.
 * @throws InputError where a file that no earlier export wrote would be written over, and where another process writes
 */
export function writeManifest(
  folder: string,
  manifest: Manifest,
  shaders: Readonly<Record<string, string>>,
  tensors: Readonly<Record<string, NamedTensors>>,
): void {
  makeFolder(folder);
  const unlock = lockFolder(folder);
  try {
    writeAlone(folder, manifest, shaders, tensors);
  } finally {
    unlock();
  }
}

/** The same, where nobody else writes. */
function writeAlone(
  folder: string,
  manifest: Manifest,
  shaders: Readonly<Record<string, string>>,
  tensors: Readonly<Record<string, NamedTensors>>,
): void {
  const earlier = earlierFiles(folder);
  const files: Record<string, FileContent | null> = Object.fromEntries(earlier.map((name) => [name, null]));
  for (const [name, text] of Object.entries(shaders)) files[name] = `${text}\n`;
  for (const [name, all] of Object.entries(tensors)) files[name] = serializeSafetensorsPieces(all);
  files[MANIFEST] = readable(manifest);
  const foreign = namesIn(folder).find((name) => name in files && !earlier.includes(name));
  if (foreign !== undefined)
    throw new InputError(`${join(folder, foreign)}: is of no earlier export; choose another folder`);
  writeCheckpointFolder(folder, files);
}

const INDEX = 'index.json';

/** Errors: InputError where an index of something else lies in a folder. */
export function checkIndex(folder: string): void {
  const path = join(folder, INDEX);
  if (existsSync(path) && !Array.isArray(parseObject(readTextFile(path, 'index'), path).manifests))
    throw new InputError(`${path}: is no index of an earlier export; choose another folder`);
}

/** Writes the index of a folder of exports. */
export const writeIndex = (folder: string, index: object): void =>
  writeFileAtomic(join(folder, INDEX), readable({ version: 1, ...index }));

const SCHEMA = 'manifest.schema.json';

/** Puts the schema of manifests into a folder. */
export const writeSchema = (folder: string): void =>
  writeFileAtomic(join(folder, SCHEMA), readFileChecked(join(packageRoot(), 'docs', SCHEMA), 'schema'));

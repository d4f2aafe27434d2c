/** Models in folders. Node only. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import {
  appendDurably,
  readFileChecked,
  readSafetensorsFile,
  readTextFile,
  recoverFolder,
  statsOf,
  writeCheckpointFolder,
  writeFileAtomic,
} from '../io/files.ts';
import { parseObject } from '../io/json.ts';
import type { Select } from '../io/safetensors.ts';
import type { Source } from '../io/source.ts';
import type { Json } from '../models/config.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { Definition, Opened, Types } from './definition.ts';
import { lockFolder } from './lock.ts';
import type { Storage } from './training/storage.ts';

/** A JSON object from a file. Errors: InputError naming the file. */
export const readJsonFile = (path: string, what: string): Json => parseObject(readTextFile(path, what), path);

/**
 * The files of a folder. A folder whose saving was cut short is put right first.
 * @param mayBeAbsent the folder need not be there
 * @throws InputError where there is no such folder; the source's own errors name the file
 */
export function folderSource(dir: string, mayBeAbsent = false): Source {
  if (!mayBeAbsent && !statsOf(dir)?.isDirectory()) throw new InputError(`${dir}: no such model folder`);
  recoverFolder(dir);
  const read = (name: string): Promise<Uint8Array | undefined> => {
    const path = join(dir, name);
    recoverFolder(dirname(path));
    return Promise.resolve(existsSync(path) ? readFileChecked(path, 'model file') : undefined);
  };
  return Object.assign(read, {
    has: (name: string) => existsSync(join(dir, name)),
    tensors: (name: string, select?: Select) => {
      const path = join(dir, name);
      return existsSync(path) ? readSafetensorsFile(path, select) : undefined;
    },
  });
}

/**
 * The files of an encoder's folder.
 * @throws InputError where there is no such folder: a model's name on the Hugging Face hub gets the command that
 *   downloads it
 */
export function encoderSource(dir: string): Source {
  const isName = /^[\w.-]+(\/[\w.-]+)?$/.test(dir) && !dir.startsWith('.');
  if (existsSync(dir) || !isName) return folderSource(dir);
  throw new InputError(
    `${dir}: no such folder; if it is a model's name on the Hugging Face hub: hf download ${dir} --local-dir ${dir}`,
  );
}

/** A training's storage in a folder, which is made if need be; other files in it stay. */
export function folderStorage(dir: string): Storage {
  return {
    name: dir,
    lock: () => lockFolder(dir),
    source: folderSource(dir, true),
    write(part, files) {
      const [only, ...others] = Object.entries(files);
      if (only && others.length === 0) writeFileAtomic(join(dir, part, only[0]), only[1]);
      else writeCheckpointFolder(join(dir, part), files);
      return Promise.resolve();
    },
    append(name, text) {
      appendDurably(join(dir, name), text);
      return Promise.resolve();
    },
  };
}

/** Opens the checkpoint in a folder: see `openCheckpoint`. */
export const openFolder = async <T extends Types = Types>(
  dir: string,
  expected?: Definition<T>,
): Promise<Opened<T>> => openCheckpoint(folderSource(dir), dir, expected);

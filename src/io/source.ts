/** Files by name, from anywhere: a folder, a URL, a list of files, a map. */
import { InputError } from '../../kernels/errors.ts';
import { refusePointer } from './look-alikes.ts';
import { parseSafetensors, type HostTensor, type Safetensors, type Select } from './safetensors.ts';

/** The bytes of a file: undefined, or a rejection, where there is none of that name. */
export type Source = ((name: string) => Promise<Uint8Array | undefined>) & {
  /** Reads tensors one by one: files that no single buffer holds. Undefined where there is none of that name. */
  tensors?(name: string, select?: Select): Safetensors | undefined;
  /** Whether there is a file of that name, without reading it. */
  has?(name: string): boolean;
};

/** What a source gives for a file that may be absent. Errors: InputErrors of the source's own, such as a missing permission. */
export const ifAny = (bytes: Promise<Uint8Array | undefined>): Promise<Uint8Array | undefined> =>
  bytes.catch((error: unknown) => {
    if (error instanceof InputError) throw error;
    return undefined;
  });

/**
 * A file's bytes.
 * @param path names it in errors
 * @throws InputError where there is none, with what the source says of it
 */
export async function needed(source: Source, name: string, path: string): Promise<Uint8Array> {
  let bytes: Uint8Array | undefined;
  try {
    bytes = await source(name);
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!bytes) throw new InputError(`${path}: no such file`);
  return bytes;
}

/** A file that may be absent. Errors: as `ifAny`, and InputError for a Git LFS pointer in its place. */
export async function fileOf(source: Source, name: string, path: string): Promise<Uint8Array | undefined> {
  const bytes = await ifAny(source(name));
  if (bytes) refusePointer(bytes, path);
  return bytes;
}

/** The tensors of a safetensors file; undefined where there is none. Errors: InputError where it breaks the format. */
export async function tensorsIfAny(
  source: Source,
  name: string,
  path: string,
  select?: Select,
): Promise<ReadonlyMap<string, HostTensor> | undefined> {
  if (source.tensors) return source.tensors(name, select)?.tensors;
  const bytes = await fileOf(source, name, path);
  return bytes && parseSafetensors(bytes, path, select).tensors;
}

/** The same of a file that must be there. */
export async function tensorsOf(
  source: Source,
  name: string,
  path: string,
  select?: Select,
): Promise<ReadonlyMap<string, HostTensor>> {
  const tensors = await tensorsIfAny(source, name, path, select);
  if (!tensors) throw new InputError(`${path}: no such file`);
  return tensors;
}

/** Whether a source has a file of that name. */
export const hasFile = async (source: Source, name: string): Promise<boolean> =>
  source.has ? source.has(name) : (await ifAny(source(name))) !== undefined;

/** Files by name, from anywhere: a folder, a URL, a list of files, a map. */
import { InputError } from '../../kernels/errors.ts';
import { parseSafetensors, type HostTensor, type Safetensors } from './safetensors.ts';

/** The bytes of a file: undefined, or a rejection, where there is none of that name. */
export type Source = ((name: string) => Promise<Uint8Array | undefined>) & {
  /** Reads tensors one by one: files that no single buffer holds. */
  tensors?(name: string): Safetensors;
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

/** A Git LFS pointer: a few lines of text that stand for a large file until it is downloaded. */
const POINTER = /^version https:\/\/git-lfs\S*\n(?:.*\n)*?size (\d+)/;

/** Errors: InputError where the first bytes of a file are a Git LFS pointer's, with the command that gets the file. */
export function refusePointer(start: Uint8Array, path: string): void {
  if (start[0] !== 0x76 || start.length < 40) return;
  const found = POINTER.exec(String.fromCharCode(...start.subarray(0, 400)));
  if (found)
    throw new InputError(
      `${path}: a Git LFS pointer, not the file of ${found[1]} bytes itself; run "git lfs pull" in its folder`,
    );
}

/** A file that may be absent. Errors: as `ifAny`, and InputError for a Git LFS pointer in its place. */
export async function fileOf(source: Source, name: string, path: string): Promise<Uint8Array | undefined> {
  const bytes = await ifAny(source(name));
  if (bytes) refusePointer(bytes, path);
  return bytes;
}

/** The tensors of a safetensors file. Errors: as `needed`, and InputError naming `path` where it breaks the format. */
export async function tensorsOf(
  source: Source,
  name: string,
  path: string,
): Promise<Map<string, HostTensor>> {
  if (source.tensors) return source.tensors(name).tensors;
  return parseSafetensors(await needed(source, name, path), path).tensors;
}

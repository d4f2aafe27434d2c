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

/** The tensors of a safetensors file. Errors: as `needed`, and InputError naming `path` where it breaks the format. */
export async function tensorsOf(
  source: Source,
  name: string,
  path: string,
): Promise<Map<string, HostTensor>> {
  if (source.tensors) return source.tensors(name).tensors;
  return parseSafetensors(await needed(source, name, path), path).tensors;
}

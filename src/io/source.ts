/** Files by name, from anywhere: a folder, a URL, a list of files, a map. */
import { InputError } from '../../kernels/errors.ts';
import { parseSafetensors, type HostTensor, type Safetensors } from './safetensors.ts';

/** The bytes of a file: undefined, or a rejection that says so (see `isAbsent`), where there is none of that name. */
export type Source = ((name: string) => Promise<Uint8Array | undefined>) & {
  /** Reads tensors one by one: files that no single buffer holds. */
  tensors?(name: string): Safetensors;
};

/** Whether an error says that a file is not there: Node's ENOENT, a browser's NotFoundError, the `status` 404 of HTTP. */
function isAbsent(error: unknown): boolean {
  const { code, name, status } = Object(error) as Partial<Record<'code' | 'name' | 'status', unknown>>;
  return code === 'ENOENT' || name === 'NotFoundError' || status === 404;
}

/**
 * A file's bytes; undefined where there is none.
 * @param path names it in errors
 * @throws InputError with what the source says, where it rejects for another reason than that there is none
 */
export async function ifAny(source: Source, name: string, path: string): Promise<Uint8Array | undefined> {
  try {
    return await source(name);
  } catch (error) {
    if (error instanceof InputError) throw error;
    if (isAbsent(error)) return undefined;
    const said = error instanceof Error ? error.message : String(error);
    throw new InputError(`${path}: cannot be read: ${said}`, { cause: error });
  }
}

/** A file's bytes. Errors: as `ifAny`, and InputError where there is none. */
export async function needed(source: Source, name: string, path: string): Promise<Uint8Array> {
  const bytes = await ifAny(source, name, path);
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

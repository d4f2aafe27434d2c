/** Files by name, from anywhere: a folder, a URL, a list of files, a map. */
import { InputError } from '../../kernels/errors.ts';
import { refusePointer } from './look-alikes.ts';
import { parseSafetensors, type HostTensor, type Safetensors, type Select } from './safetensors.ts';

/** The bytes of a file: undefined, or a rejection that says so (see `isAbsent`), where there is none of that name. */
export type Source = ((name: string) => Promise<Uint8Array | undefined>) & {
  /** Reads tensors one by one: files that no single buffer holds. Undefined where there is none of that name. */
  tensors?(name: string, select?: Select): Safetensors | undefined;
  /** Whether there is a file of that name, without reading it. */
  has?(name: string): boolean;
};

/** Whether an error says that a file is not there: Node's ENOENT, a browser's NotFoundError, the `status` 404 of HTTP. */
function isAbsent(error: unknown): boolean {
  const { code, name, status } = Object(error) as Partial<Record<'code' | 'name' | 'status', unknown>>;
  return code === 'ENOENT' || name === 'NotFoundError' || status === 404;
}

/**
 * A file's bytes; undefined where there is none.
 * @param path names it in errors
 * @throws InputError with what the source says, where it rejects for another reason than that there is none, and where it
 *   gives anything but bytes
 */
export async function ifAny(source: Source, name: string, path: string): Promise<Uint8Array | undefined> {
  let bytes: unknown;
  try {
    bytes = (await source(name)) ?? undefined;
  } catch (error) {
    if (error instanceof InputError) throw error;
    if (isAbsent(error)) return undefined;
    const said = error instanceof Error ? error.message : String(error);
    throw new InputError(`${path}: cannot be read: ${said}`, { cause: error });
  }
  if (bytes !== undefined && !(ArrayBuffer.isView(bytes) && 'subarray' in bytes))
    throw new InputError(`${path}: its source gave ${givenText(bytes)}, not a Uint8Array`);
  return bytes as Uint8Array | undefined;
}

const givenText = (value: unknown): string =>
  typeof value === 'string' ? 'a string' : `what is ${Object.prototype.toString.call(value).slice(8, -1)}`;

/** A file's bytes. Errors: as `ifAny`, and InputError where there is none. */
export async function needed(source: Source, name: string, path: string): Promise<Uint8Array> {
  const bytes = await ifAny(source, name, path);
  if (!bytes) throw new InputError(`${path}: no such file`);
  return bytes;
}

/** A file that may be absent. Errors: as `ifAny`, and InputError for a Git LFS pointer in its place. */
export async function fileOf(source: Source, name: string, path: string): Promise<Uint8Array | undefined> {
  const bytes = await ifAny(source, name, path);
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

/** Whether a source has a file of that name. Errors: as `ifAny`. */
export const hasFile = async (source: Source, name: string, path: string): Promise<boolean> =>
  source.has ? source.has(name) : (await ifAny(source, name, path)) !== undefined;

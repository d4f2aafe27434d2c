/** What may stand in a file's place, told from its first bytes. */
import { InputError } from '../../kernels/errors.ts';

/** Bytes from which all of it can be told. */
export const LOOKED_AT = 400;

/** A Git LFS pointer: a few lines of text that stand for a large file until it is downloaded. */
const POINTER = /^version https:\/\/git-lfs\S*\r?\n(?:.*\n)*?size (\d+)/;

const beginsWith = (start: Uint8Array, text: string): boolean =>
  start.length >= text.length && [...text].every((char, i) => start[i] === char.charCodeAt(0));

/** Errors: InputError where a file begins as a Git LFS pointer does, with the command that gets the file. */
export function refusePointer(start: Uint8Array, path: string): void {
  if (!beginsWith(start, 'version https://git-lfs')) return;
  const size = POINTER.exec(String.fromCharCode(...start.subarray(0, LOOKED_AT)))?.[1];
  throw new InputError(
    `${path}: a Git LFS pointer, not the file${size ? ` of ${size} bytes` : ''} itself; run "git lfs pull" in its folder`,
  );
}

/** Errors: InputError where what should be text begins as a packed file or as UTF-16 does, with the command that helps. */
export function refuseOtherText(start: Uint8Array, what: string): void {
  const other = [
    ['PK\u0003\u0004', 'a ZIP archive (doccano exports one), not a text: unpack it with "unzip"'],
    ['\u001f\u008b', 'compressed by gzip: unpack it with "gunzip"'],
    ['\u00ff\u00fe', 'UTF-16, by its first two bytes, not UTF-8: "iconv -f UTF-16 -t UTF-8" converts it'],
    ['\u00fe\u00ff', 'UTF-16, by its first two bytes, not UTF-8: "iconv -f UTF-16 -t UTF-8" converts it'],
  ].find(([signature]) => beginsWith(start, signature));
  if (other) throw new InputError(`${what}: ${other[1]}`);
}

/** The same for a file of tensors, and for other formats that come under its name. */
export function refuseLookAlikes(start: Uint8Array, path: string): void {
  refusePointer(start, path);
  const other = [
    ['PK\u0003\u0004', "PyTorch's own format, or another archive: it must be converted to safetensors"],
    ['\u0080\u0002', "PyTorch's old format: it must be converted to safetensors"],
    ['\u0089HDF', 'HDF5, as TensorFlow saves: it must be converted to safetensors'],
    ['<', 'a web page, not the file that was to be downloaded'],
  ].find(([signature]) => beginsWith(start, signature));
  if (other) throw new InputError(`${path}: holds ${other[1]}`);
}

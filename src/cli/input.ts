/** Where a command reads from: a file, or standard input. */
import { openChunks } from '../io/files.ts';
import { streams } from './streams.ts';

export async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of streams().stdin) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** A stream of bytes by its name. */
export interface Input {
  name: string;
  chunks: AsyncIterable<Uint8Array>;
}

/**
 * The file at `path`, or standard input where there is no path or it is `-`.
 * @param what it is, for messages
 * @throws InputError as `openChunks`
 */
export const openInput = (path: string | undefined, what: string): Input =>
  path === undefined || path === '-'
    ? { name: 'standard input', chunks: streams().stdin }
    : { name: path, chunks: openChunks(path, what) };

/** Where a training keeps its model, its log and what it needs to continue: a folder in Node, anything elsewhere. */
import { InputError } from '../../../kernels/errors.ts';
import type { FileContent } from '../../io/files.ts';
import { ifAny, type Source } from '../../io/source.ts';

/** The part that holds all that is needed to continue. */
export const LAST = 'last';

export interface Storage {
  /** Names it in messages: a folder. */
  readonly name: string;
  /** Files by path: `config.json`, `last/trainer.json`. */
  readonly source: Source;
  /**
   * Replaces files of the model (''), or of what is needed to continue (`last`): all of them or none, whenever the
   * process ends. Other files stay. Without files it says whether it could write.
   * @throws InputError naming the storage where it cannot be written
   */
  write(part: '' | typeof LAST, files: Readonly<Record<string, FileContent>>): Promise<void>;
  /** Appends a text to a file of the model. */
  append(name: string, text: string): Promise<void>;
  /**
   * Keeps other trainings out until what it returns is called; a storage that no two can reach needs none.
   * @throws InputError naming who holds it
   */
  lock?(): () => void;
}

/** A file of a storage; undefined where there is none. Errors: as `ifAny`. */
export const storedFile = (storage: Storage, path: string): Promise<Uint8Array | undefined> =>
  ifAny(storage.source, path, `${storage.name}/${path}`);

/** A storage in memory, which a page may hand on: files by path. */
export function memoryStorage(files: Map<string, Uint8Array> = new Map(), name = 'memory'): Storage {
  const bytesOf = (content: FileContent): Uint8Array => {
    if (typeof content === 'string') return new TextEncoder().encode(content);
    const pieces = content instanceof Uint8Array ? [content] : content;
    const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  };
  let held = false;
  return {
    name,
    lock() {
      if (held) throw new InputError(`${name}: another training is writing there`);
      held = true;
      return () => void (held = false);
    },
    source: (path) => Promise.resolve(files.get(path)),
    write(part, written) {
      for (const [file, content] of Object.entries(written))
        files.set(part === '' ? file : `${part}/${file}`, bytesOf(content));
      return Promise.resolve();
    },
    append(file, text) {
      files.set(file, bytesOf([files.get(file) ?? new Uint8Array(), new TextEncoder().encode(text)]));
      return Promise.resolve();
    },
  };
}

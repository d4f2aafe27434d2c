/** Named values that a caller may set: one table gives the types, the command line's flags and their help. */
import type { Json } from '../io/json.ts';

interface Described {
  doc: string;
  /** What stands for the value in help: `N`, `FILE`. */
  value: string;
}

export type Option =
  | (Described & { kind: 'integer'; min: number })
  | (Described & { kind: 'choice'; choices: readonly string[] })
  /** Names with commas between them. */
  | (Described & { kind: 'list' })
  /** The content of a JSON file. Errors of `parse`: InputError naming `what` and the key. */
  | (Described & { kind: 'json'; parse(json: Json, what: string): unknown })
  /** Another model: its folder on the command line, else what `loadModel` gives. */
  | (Described & { kind: 'model' });

/** `maxSubjects` → `max-subjects`: a key as the command line writes it. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

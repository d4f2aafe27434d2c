/** What the commands that use a trained model share. */
import type { Runtime } from '../gpu/runtime.ts';
import { precisions } from '../nn/parameters.ts';
import type { Opened } from '../tasks/definition.ts';
import { openFolder } from '../tasks/folder.ts';
import { flagOf } from '../tasks/options.ts';
import { checkUse, LoadedModel } from '../tasks/model.ts';
import type { Arguments, Option } from './command.ts';
import { tell } from './printable.ts';
import { givenUse } from './tables.ts';

export const modelOption: Option = { path: 'DIR', doc: 'checkpoint folder', required: true };

export const batchOption: Option = { value: 'N', doc: 'inputs at once (default 16)' };

export const precisionOption: Option = {
  value: precisions.join('|'),
  doc: 'how the weights of layers and embeddings are stored: f16 takes half the memory, rounded (default f32)',
};

/** A model and how it is to be used, once everything that the arguments name is checked. */
export interface Asked {
  opened: Opened;
  /** Loads it, and the models that its options name. */
  load(runtime: Runtime): Promise<{ model: LoadedModel; options: Record<string, unknown> }>;
}

/** Opens the model of `--model` for a command. Errors: usage errors; InputError naming the file and key. */
export async function askedModel(args: Arguments, command: 'eval' | 'extract'): Promise<Asked> {
  const opened = await openFolder(args.text('model'));
  const { definition } = opened;
  const precision = args.oneOf('precision', precisions, 'f32');
  const options = givenUse(args, definition, command);
  const others: [string, Opened][] = [];
  for (const [key, option] of Object.entries(definition.options)) {
    const dir = option.kind === 'model' ? args.optional(flagOf(key)) : undefined;
    if (dir !== undefined) others.push([key, await openFolder(dir)]);
  }
  const { extra } = definition;
  if (extra && opened.extra === undefined && !(extra.option in options))
    args.fail(`--${extra.option} is missing, and ${opened.what} holds no ${extra.file}`);
  for (const note of checkUse(opened, Object.fromEntries(others), command)) tell(`note: ${note}`);
  return {
    opened,
    async load(runtime) {
      const model = new LoadedModel(definition, await opened.load(runtime, { precision }));
      for (const [key, other] of others)
        options[key] = new LoadedModel(other.definition, await other.load(runtime, { precision }));
      return { model, options };
    },
  };
}

/** `spanwise attention`: which token attends to which in a model, as its definition draws it. */
import { InputError } from '../../kernels/errors.ts';
import { writeFileAtomic } from '../io/files.ts';
import { openFolder } from '../tasks/folder.ts';
import { definitions } from '../tasks/registry.ts';
import { unknownNotes } from '../tasks/text/unknown.ts';
import { json, type Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { modelOption } from './model.ts';
import { print, printJson, table } from './print.ts';
import { tell } from './printable.ts';

const drawing = definitions.filter(({ attention }) => attention);
const drawn = drawing.map(({ title }) => title);
const prompted = drawing.filter(({ prompt }) => prompt).map(({ name }) => name);

export const attentionCommand: Command = {
  name: 'attention',
  summary: `Draws which token attends to which in a model (${drawn.join(', ')})`,
  options: {
    model: modelOption,
    text: { value: 'TEXT', doc: 'the text', required: true },
    prompt: { value: 'TEXT', doc: `${prompted.join(', ')}: what to look for in it (default: nothing)` },
    out: { path: 'F.svg', doc: 'heatmaps to write' },
    json,
  },
  notes:
    'Prints mean attention entropy (nats) and other figures; --json also the tokens and all weights.\n' +
    'docs/segment-attention.md and the pages of the models define them.',
  async run(args) {
    const [dir, text, prompt] = [args.text('model'), args.text('text'), args.optional('prompt') ?? ''];
    const output = args.optional('out');
    if (output !== undefined) {
      if (!/\.svg$/i.test(output)) args.fail(`--out writes SVG: its name must end in .svg, got "${output}"`);
      checkWritable(output, args);
    }
    const found = await withDevice(
      async () => {
        const opened = await openFolder(dir);
        if (!opened.definition.attention)
          throw new InputError(`${dir}: attention is drawn of ${drawn.join(' and ')} models`);
        return opened;
      },
      async (runtime, { definition, load }) => {
        const loaded = await load(runtime);
        const rule = loaded.model.config.words;
        for (const note of unknownNotes(loaded.tokenizer, [prompt, text], { rule })) tell(`note: ${note}`);
        return definition.attention!({ ...loaded, what: '--text' }, { text, prompt });
      },
    );
    if (output !== undefined) writeFileAtomic(output, found.svg);
    if (args.flag('json')) await printJson(found.json);
    else await print(table(found.table));
  },
};

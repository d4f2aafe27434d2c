/** `spanwise attention`: which token attends to which in a CEREM checkpoint, with segments and without. */
import { writeFileAtomic } from '../io/files.ts';
import { parseCeremConfig } from '../models/cerem.ts';
import { attentionMap, type WeightMap } from '../tasks/cerem/attention-map.ts';
import { attentionSvg } from '../tasks/cerem/attention-svg.ts';
import { loadCerem } from '../tasks/cerem/checkpoint.ts';
import { readCheckpointConfig } from '../tasks/checkpoint.ts';
import { json, type Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { modelOption } from './model.ts';
import { print, printJson, table } from './print.ts';

/** A map as JSON: weights as a list of rows, query by query. */
function mapJson({ weights, entropy, clusterDistance }: WeightMap, tokens: number) {
  const rows = Array.from({ length: tokens }, (_, i) => [...weights.subarray(i * tokens, (i + 1) * tokens)]);
  return { entropy, clusterDistance, weights: rows };
}

export const attentionCommand: Command = {
  name: 'attention',
  summary: 'Draws which token attends to which in a CEREM model, with segments and without',
  options: {
    model: modelOption,
    text: { value: 'TEXT', doc: 'the text', required: true },
    prompt: { value: 'TEXT', doc: 'what to look for in it (default: nothing)' },
    out: { value: 'F.svg', doc: 'heatmaps to write' },
    json,
  },
  notes:
    'Prints mean attention entropy (nats) and cluster distance of each branch; --json also all weights, mean over heads,\n' +
    'as {"tokens", "branches": [{"branch", "withSegments", "withoutSegments"}]}. docs/segment-attention.md defines them.',
  async run(args) {
    const [dir, text, prompt] = [args.text('model'), args.text('text'), args.optional('prompt') ?? ''];
    const output = args.optional('out');
    if (output !== undefined) {
      if (!/\.svg$/i.test(output)) args.fail(`--out writes SVG: its name must end in .svg, got "${output}"`);
      checkWritable(output);
    }
    const { tokens, branches } = await withDevice(
      [],
      () => {
        const { json: config, path } = readCheckpointConfig(dir);
        parseCeremConfig(config, path);
      },
      async (runtime) => {
        const { model, tokenizer } = loadCerem(runtime, dir);
        return attentionMap(model, tokenizer, { prompt, text }, '--text');
      },
    );
    if (output !== undefined) writeFileAtomic(output, attentionSvg({ tokens, branches }));
    if (args.flag('json')) {
      const rows = branches.map(({ branch, withSegments, withoutSegments }) => ({
        branch,
        withSegments: withSegments ? mapJson(withSegments, tokens.length) : null,
        withoutSegments: mapJson(withoutSegments, tokens.length),
      }));
      await printJson({ prompt, text, tokens, branches: rows });
      return;
    }
    const lines = branches.flatMap(({ branch, withSegments, withoutSegments }) =>
      [
        { name: 'with', map: withSegments },
        { name: 'without', map: withoutSegments },
      ].flatMap(({ name, map }) =>
        map ? [[branch, name, map.entropy.toFixed(4), map.clusterDistance.toFixed(4)]] : [],
      ),
    );
    await print(table([['branch', 'segments', 'entropy', 'cluster distance'], ...lines]));
  },
};

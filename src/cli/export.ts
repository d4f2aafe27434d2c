/** `spanwise export`: the forward pass of a checkpoint as a manifest with its weights (docs/export.md#models). */
import { comparison, VECTORS } from '../../kernels/manifest/types.ts';
import { openFolder } from '../tasks/folder.ts';
import { EXPORTED_WEIGHTS, exportModel, logitsOf } from '../tasks/export-model.ts';
import type { Command } from './command.ts';
import { withDevice } from './device.ts';
import { capsOption, readCaps, writeManifest, writeSchema } from './manifests.ts';
import { modelOption } from './model.ts';
import { print } from './print.ts';

export const exportCommand: Command = {
  name: 'export',
  summary: 'Writes the forward pass of a model as a manifest, WGSL and weights that run without Spanwise',
  options: {
    model: modelOption,
    length: { value: 'L', doc: 'pieces of a row', required: true },
    batch: { value: 'B', doc: 'rows (default 1)' },
    caps: capsOption,
    out: { path: 'DIR', doc: 'folder to write to', required: true },
    vectors: { doc: 'also run it here, and write the logits as what is expected' },
  },
  notes: 'docs/export.md tells how to run what is written, and which models have such a pass.',
  async run(args) {
    const [dir, out] = [args.text('model'), args.text('out')];
    const [rows, columns] = [args.integer('batch', 1, 1), args.integer('length', 0, 1)];
    const caps = readCaps(args.optional('caps'));
    const opened = await openFolder(dir);
    const { manifest, shaders, weights } = await exportModel(opened, caps, rows, columns);
    const [part] = manifest.parts;
    const tensors: Parameters<typeof writeManifest>[3] = { [EXPORTED_WEIGHTS]: weights };
    if (args.flag('vectors')) {
      const logits = await withDevice(
        () => undefined,
        (runtime) => logitsOf(opened, runtime, rows, columns),
      );
      for (const output of part.outputs) output.expected = { file: VECTORS, tensor: output.name };
      manifest.vectors = comparison;
      Object.assign(tensors, { [VECTORS]: logits });
    }
    writeManifest(out, manifest, shaders, tensors);
    writeSchema(out);
    const { dispatches, macs, bufferBytes } = part.totals;
    const free = part.host.filter((input) => input.tables).map(({ name }) => name);
    await print(
      `${dispatches} dispatches, ${macs} multiply-adds, ${bufferBytes} bytes of buffers; ` +
        `${free.length > 0 ? `${free.join(', ')} may be replaced` : 'its inputs are fixed'}\n`,
    );
  },
};

/** `spanwise kernel export`: kernels as manifests that run without Spanwise (docs/export.md). No device. */
import { join } from 'node:path';
import { kernelNamed, kernels } from '../../kernels/index.ts';
import { exportKernel } from '../../kernels/manifest/export.ts';
import { VECTORS } from '../../kernels/manifest/types.ts';
import type { Caps, Kernel, Params } from '../../kernels/plan.ts';
import { referenceCases, sampleCase, type ReferenceCase } from '../../kernels/reference/cases.ts';
import { addVectors } from '../../kernels/reference/vectors.ts';
import type { Arguments, Command } from './command.ts';
import { parseShapes } from './kernel-shapes.ts';
import { capsOption, checkIndex, readCaps, writeIndex, writeManifest, writeSchema } from './manifests.ts';
import { print, table } from './print.ts';

/** The cases of a kernel that are exported: those of its reference, or what `--shapes` says. */
function casesOf(args: Arguments, kernel: Kernel, params: Params, caps: Caps): ReferenceCase[] {
  const given = args.jsonList('shapes');
  if (given.length === 0) return referenceCases(kernel.name);
  return given.map((each) => {
    const { shapes, host } = parseShapes(kernel, each, caps);
    return sampleCase(kernel.name, shapes, host, params);
  });
}

/** Writes the manifest of a case into a folder. */
function write(
  folder: string,
  kernel: Kernel,
  given: ReferenceCase,
  caps: Caps,
  grad: boolean,
  vectors: boolean,
) {
  const entries = Object.entries(given.inputs);
  const shapes = Object.fromEntries(entries.map(([name, { shape }]) => [name, shape]));
  const host = Object.fromEntries(
    entries.flatMap(([name, { data }]) => (data instanceof Int32Array ? [[name, data]] : [])),
  );
  const { manifest, shaders } = exportKernel(kernel, { shapes, host, params: given.params, caps }, { grad });
  const tensors = vectors ? addVectors(manifest, kernel, given) : undefined;
  writeManifest(folder, manifest, shaders, tensors ? { [VECTORS]: tensors } : {});
  return { shapes, params: given.params, parts: manifest.parts };
}

export const kernelExport: Command = {
  name: 'kernel export',
  summary: 'Writes kernels as manifests, WGSL and test vectors that run without Spanwise',
  positional: '[NAME…]',
  options: {
    out: { path: 'DIR', doc: 'folder to write to', required: true },
    shapes: {
      value: 'JSON',
      doc: 'as of `kernel show`; a list of them makes a manifest each (default: the small examples of `verify`)',
    },
    params: { value: 'JSON', doc: 'parameters, with --shapes' },
    caps: capsOption,
    grad: { doc: 'the gradients too, as a second part' },
    'no-vectors': { doc: 'leave out inputs and expected outputs, which take float64 loops on the host' },
  },
  notes:
    'Example: spanwise kernel export softmax --shapes \'{"x":[2,8]}\' --grad --out exported\n' +
    'Without NAME all kernels. docs/export.md tells how to run what is written.',
  async run(args) {
    const names = args.positional ? [args.positional, ...args.rest] : Object.keys(kernels);
    const given = args.optional('shapes') !== undefined;
    const [grad, vectors] = [args.flag('grad'), !args.flag('no-vectors')];
    if (given && names.length !== 1) args.fail('--shapes needs one NAME: they are of its inputs');
    if (!given && args.optional('params') !== undefined) args.fail('--params needs --shapes');
    const chosen = names.map(kernelNamed);
    for (const { name, backward } of chosen)
      if (args.positional && grad && !backward) args.fail(`--grad: ${name} has no gradient`);
    const caps = readCaps(args.optional('caps'));
    const params = args.json('params');
    const out = args.text('out');
    checkIndex(out);
    const index = chosen.flatMap((kernel) => {
      const cases = casesOf(args, kernel, params, caps);
      return cases.map((each, i) => {
        const folder = cases.length > 1 ? `${kernel.name}/${i + 1}` : kernel.name;
        const written = write(
          join(out, folder),
          kernel,
          each,
          caps,
          grad && kernel.backward !== undefined,
          vectors,
        );
        return { kernel: kernel.name, manifest: `${folder}/manifest.json`, ...written };
      });
    });
    writeSchema(out);
    const manifests = index.map(({ parts: _, ...entry }) => entry);
    writeIndex(out, { caps, manifests });
    const rows = index.map(({ manifest, parts }) => [
      manifest,
      ...parts.map(({ totals }) => String(totals.dispatches)),
    ]);
    await print(table([['dispatches', 'forward', ...(grad ? ['backward'] : [])], ...rows]));
  },
};

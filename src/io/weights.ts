/** The weights of a folder as Hugging Face lays them out: one safetensors file, or several with an index. */
import { InputError } from '../../kernels/errors.ts';
import { isObject, parseObject } from './json.ts';
import type { HostTensor, Select } from './safetensors.ts';
import { fileOf, hasFile, tensorsIfAny, type Source } from './source.ts';
import { decodeUtf8 } from './utf8.ts';

export const WEIGHTS = 'model.safetensors';
const INDEX = `${WEIGHTS}.index.json`;

/** Files of weights in formats that are not read, and whose. */
const others: readonly [file: string, whose: string][] = [
  ['pytorch_model.bin', 'PyTorch'],
  ['pytorch_model.bin.index.json', 'PyTorch'],
  ['tf_model.h5', 'TensorFlow'],
  ['flax_model.msgpack', 'Flax'],
  ['adapter_model.safetensors', 'an adapter, without the model that it belongs to,'],
];

/** The tensors of a folder, and the file that names them in errors. */
export interface Weights {
  tensors: ReadonlyMap<string, HostTensor>;
  path: string;
}

/**
 * Reads `model.safetensors`, else the files that `model.safetensors.index.json` names.
 * @param what names the folder in errors
 * @param select the tensors to read, all when absent
 * @throws InputError naming the file that is missing or breaks its format; where the weights are in another format, with
 *   the command that converts them
 */
export async function readWeights(source: Source, what: string, select?: Select): Promise<Weights> {
  const path = `${what}/${WEIGHTS}`;
  const tensors = await tensorsIfAny(source, WEIGHTS, path, select);
  if (tensors) return { tensors, path };
  const index = await fileOf(source, INDEX, `${what}/${INDEX}`);
  if (index) {
    const indexPath = `${what}/${INDEX}`;
    return { tensors: await readShards(source, what, decodeUtf8(index, indexPath), select), path: indexPath };
  }
  for (const [file, whose] of others)
    if (await hasFile(source, file, `${what}/${file}`))
      throw new InputError(`${path}: no such file, ${advice(what, file, whose)}`);
  throw new InputError(`${path}: no such file`);
}

const advice = (what: string, file: string, whose: string): string =>
  file === 'pytorch_model.bin'
    ? `but ${what}/${file}, PyTorch's; convert it: python3 -c "import torch; from safetensors.torch import save_file; ` +
      `d = '${what}/'; w = torch.load(d + '${file}', map_location='cpu', weights_only=True); ` +
      `save_file({k: v.clone().contiguous() for k, v in w.items()}, d + '${WEIGHTS}')"`
    : `but ${file}: weights of ${whose} must be saved as safetensors with the library that made them (save_pretrained)`;

/** The tensors of all files that an index names. */
async function readShards(
  source: Source,
  what: string,
  text: string,
  select: Select | undefined,
): Promise<Map<string, HostTensor>> {
  const path = `${what}/${INDEX}`;
  const { weight_map: map } = parseObject(text, path);
  if (!isObject(map)) throw new InputError(`${path}: weight_map is not an object`);
  const files = new Map<string, Set<string>>();
  for (const name of select?.(Object.keys(map)) ?? Object.keys(map)) {
    const file = map[name];
    if (typeof file !== 'string' || /[/\\]|^\.|^$/.test(file))
      throw new InputError(`${path}: the file of ${name} is ${JSON.stringify(file)}, not a plain name`);
    files.set(file, (files.get(file) ?? new Set()).add(name));
  }
  const tensors = new Map<string, HostTensor>();
  for (const [file, wanted] of files) {
    const found = await tensorsIfAny(source, file, `${what}/${file}`, () => wanted);
    if (!found) throw new InputError(`${what}/${file}: no such file, though ${INDEX} names it`);
    for (const name of wanted) {
      const tensor = found.get(name);
      if (!tensor) throw new InputError(`${what}/${file}: holds no ${name}, though ${INDEX} says so`);
      tensors.set(name, tensor);
    }
  }
  return tensors;
}

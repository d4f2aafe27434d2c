/** What expanded WGSL declares: bindings, structures, sizes of workgroups and of their memory. */
import { SpanwiseError } from '../errors.ts';
import type { StructField } from './types.ts';

export interface Variable {
  group: number;
  binding: number;
  name: string;
  /** `storage, read`, `storage, read_write` or `uniform`. */
  space: string;
  type: string;
}

export interface Declarations {
  variables: Variable[];
  workgroupSize: [number, number, number];
  /** Bytes of workgroup memory, each variable rounded up to 16 as WebGPU counts. */
  workgroupBytes: number;
  /** Names of the language extensions that it enables. */
  enables: string[];
  /** The fields of a structure, undefined for another type. */
  structOf(type: string): StructField[] | undefined;
  /** The type of the elements of an array, aliases resolved. */
  elementOf(type: string): string;
}

const sizes: Readonly<Record<string, number>> = {
  f16: 2,
  f32: 4,
  i32: 4,
  u32: 4,
  vec2f: 8,
  vec2u: 8,
  vec4f: 16,
  vec4i: 16,
};

/** `array<T, N>` → [T, N]; the last comma divides them. */
const arrayOf = /^array<(.*),\s*([^,<>]+)>$/;

/**
 * Reads the declarations of a module, for one of its entry points. It knows the WGSL of this library, which has one
 * declaration a line, and refuses what it does not know.
 * @throws SpanwiseError naming the type or the entry point that it cannot read
 */
export function declarationsOf(wgsl: string, entryPoint: string): Declarations {
  const code = wgsl.replace(/\/\/.*/g, '');
  const all = (pattern: RegExp): string[][] => [...code.matchAll(pattern)].map(([, ...found]) => found);
  const aliases = new Map(all(/^alias (\w+) = (\w+);/gm).map(([name, type]) => [name, type]));
  const constants = new Map(all(/^const (\w+) = (\d+)u;/gm).map(([name, value]) => [name, Number(value)]));
  const structs = new Map(all(/^struct (\w+) \{([^}]*)\}/gm).map(([name, body]) => [name, body]));

  /** A count: a product or quotient of whole numbers and constants. */
  const count = (text: string): number =>
    text
      .split('*')
      .map((factor) => {
        const word = factor.trim();
        return /^\d+u?$/.test(word) ? parseInt(word, 10) : constants.get(word);
      })
      .reduce<number>((product, factor) => product * (factor ?? fail(`the size ${text}`)), 1);
  const fail = (what: string): never => {
    throw new SpanwiseError(`cannot read ${what} of the WGSL of ${entryPoint}`);
  };
  const bytesOf = (type: string): number => {
    const [, element, length] = arrayOf.exec(type) ?? [];
    if (element) return bytesOf(element) * count(length);
    return sizes[aliases.get(type) ?? type] ?? fail(`the type ${type}`);
  };

  const head = new RegExp(`@compute @workgroup_size\\(([^)]*)\\)\\s*fn ${entryPoint}\\b`).exec(code);
  const [x, y = 1, z = 1] = (head ?? fail('the entry point'))[1].split(',').map(count);
  const workgroup = all(/^var<workgroup> \w+: (.*);/gm).map(([type]) => bytesOf(type));
  return {
    variables: all(/^@group\((\d+)\) @binding\((\d+)\) var<([^>]+)> (\w+): ([^;]+);/gm)
      .map(([group, binding, space, name, type]) => ({
        ...{ group: Number(group), binding: Number(binding), name, space },
        type: type.trim(),
      }))
      .sort((a, b) => a.group - b.group || a.binding - b.binding),
    workgroupSize: [x, y, z],
    workgroupBytes: workgroup.reduce((sum, bytes) => sum + 16 * Math.ceil(bytes / 16), 0),
    enables: all(/^enable (\w+);/gm).map(([name]) => name),
    structOf(type) {
      const fields = structs
        .get(type)
        ?.split(',')
        .map((field) => field.trim())
        .filter(Boolean);
      return fields?.map((field, i) => {
        const [name, of] = field.split(/\s*:\s*/);
        if (sizes[of] !== 4) fail(`field ${name}: ${of}`);
        return { name, type: of, offset: 4 * i };
      });
    },
    elementOf(type) {
      const element = /^array<(\w+)>$/.exec(type)?.[1] ?? fail(`the type ${type}`);
      return aliases.get(element) ?? element;
    },
  };
}

/** Every kernel as a manifest, for three kinds of device: complete by its schema, and consistent in itself. No device. */
import { readFileSync } from 'node:fs';
import Ajv from 'ajv';
import test from 'tape';
import {
  defaultCaps,
  exportKernel,
  exportPlan,
  kernelNamed,
  kernels,
  ShaderFiles,
  type Caps,
  type Kernel,
  type Manifest,
  type ManifestPart,
} from '../../kernels/index.ts';
import { declarationsOf } from '../../kernels/manifest/declarations.ts';
import { referenceCases, type ReferenceCase } from '../../kernels/reference/cases.ts';
import { addVectors } from '../../kernels/reference/vectors.ts';

const devices: Readonly<Record<string, Caps>> = {
  'default limits': defaultCaps,
  software: { ...defaultCaps, software: true, subgroupMinSize: 4, subgroupMaxSize: 4 },
  GPU: {
    ...{ ...defaultCaps, maxComputeWorkgroupStorageSize: 49152, maxComputeInvocationsPerWorkgroup: 1024 },
    ...{ f16: true, timestamps: true, subgroupMinSize: 32, subgroupMaxSize: 32 },
  },
};

const validate = new Ajv().compile(JSON.parse(readFileSync('docs/manifest.schema.json', 'utf8')) as object);

function exported(kernel: Kernel, { inputs, params }: ReferenceCase, caps: Caps) {
  const entries = Object.entries(inputs);
  const shapes = Object.fromEntries(entries.map(([name, { shape }]) => [name, shape]));
  const host = Object.fromEntries(
    entries.flatMap(([name, { data }]) => (data instanceof Int32Array ? [[name, data]] : [])),
  );
  return exportKernel(kernel, { shapes, host, params, caps }, { grad: kernel.backward !== undefined });
}

/** The first step of a recurrence binds it and has no need of it. */
const boundUnread = 'hidden';

/** What is wrong with a part in itself. */
function faults(
  part: ManifestPart,
  earlier: readonly ManifestPart[],
  caps: Caps,
  shaders: Record<string, string>,
) {
  const found: string[] = [];
  const buffers = new Map(part.buffers.map(({ name, bytes }) => [name, bytes]));
  const { inputs, outputs, scratch, tables } = part;
  const own = [...inputs, ...outputs.filter(({ inPlace }) => !inPlace), ...scratch, ...tables];
  if (new Set(own.map(({ name }) => name)).size !== own.length) found.push('a name for two tensors');
  for (const { name, buffer, offset, bytes } of [...own, ...outputs])
    if (offset + bytes > (buffers.get(buffer) ?? -1)) found.push(`${name} is not inside its buffer`);
  for (const { name, inPlace, buffer } of outputs)
    if (inPlace !== undefined && inputs.find((input) => input.name === inPlace)?.buffer !== buffer)
      found.push(`${name} is not over ${inPlace}`);
  for (const { from, shape, name } of inputs) {
    const before = earlier.find((other) => other.name === from?.part);
    const sources = from?.as === 'input' ? before?.inputs : before?.outputs;
    const source = sources?.find((tensor) => tensor.name === from?.name);
    if (from && source?.shape.join() !== shape.join()) found.push(`${name} comes from nowhere`);
  }
  const written = new Set([...inputs, ...tables].map(({ name }) => name));
  for (const { label, bindings, uniforms, shader, entryPoint, workgroupSize } of part.dispatches) {
    const { variables } = declarationsOf(shaders[shader], entryPoint);
    const declared = variables.map(({ group, binding, name }) => `${group} ${binding} ${name}`);
    const given = [...bindings, ...(uniforms ? [uniforms] : [])];
    if (given.map(({ group, binding, name }) => `${group} ${binding} ${name}`).join() !== declared.join())
      found.push(`${label}: not the bindings of ${shader}`);
    for (const { tensor, buffer, offset, size, access } of bindings) {
      if (offset + size > (buffers.get(buffer) ?? -1)) found.push(`${label}: ${tensor} past its buffer`);
      if (access === 'read' && !written.has(tensor) && tensor !== boundUnread)
        found.push(`${label}: ${tensor} is read before it is written`);
    }
    for (const { tensor, access } of bindings) if (access === 'read_write') written.add(tensor);
    const words = new Uint32Array(uniforms?.words ?? []);
    for (const { name, type, offset, value } of uniforms?.fields ?? []) {
      const view = new DataView(words.buffer);
      const read = { u32: view.getUint32, i32: view.getInt32, f32: view.getFloat32 }[type];
      if (read?.call(view, offset, true) !== value) found.push(`${label}: uniform ${name}`);
    }
    if (words.byteLength !== (uniforms?.bytes ?? 0)) found.push(`${label}: bytes of uniforms`);
    if (workgroupSize.reduce((a, b) => a * b) > caps.maxComputeInvocationsPerWorkgroup) found.push(label);
  }
  for (const { name } of outputs) if (!written.has(name)) found.push(`${name} is never written`);
  for (const { name, rule, values, shape } of tables)
    if (rule.length < 10 || values.length !== shape[0]) found.push(`table ${name}`);
  for (const [limit, value] of Object.entries(part.requires.limits)) {
    const granted = (caps as unknown as Record<string, number | undefined>)[limit] ?? Infinity;
    if (value > granted) found.push(`${limit} ${value}, over ${granted}`);
  }
  const enabled = part.dispatches.some(({ shader }) => shaders[shader].includes('enable subgroups;'));
  if (enabled !== part.requires.features.includes('subgroups')) found.push('subgroups');
  if (enabled !== (part.requires.subgroups !== undefined)) found.push('sizes of subgroups');
  return found;
}

for (const [device, caps] of Object.entries(devices))
  test(`every kernel exports for ${device}`, (t) => {
    for (const kernel of Object.values(kernels))
      referenceCases(kernel.name).forEach((each, i) => {
        const { manifest, shaders } = exported(kernel, each, caps);
        const vectors = addVectors(manifest, kernel, each);
        const what = `${kernel.name} ${i + 1}`;
        const valid = validate(JSON.parse(JSON.stringify(manifest)));
        if (!valid) t.fail(`${what}: ${JSON.stringify(validate.errors?.[0])}`);
        const found = manifest.parts.flatMap((part, at) =>
          faults(part, manifest.parts.slice(0, at), caps, shaders),
        );
        t.deepEqual(found, [], what);
        const named = manifest.parts.flatMap(({ inputs, outputs }) => [
          ...inputs.flatMap(({ values }) => values?.tensor ?? []),
          ...outputs.flatMap(({ expected }) => expected?.tensor ?? []),
        ]);
        t.deepEqual(named.sort(), [...vectors.keys()].sort(), 'the vectors are those that it names');
        const unknown = manifest.parts.flatMap(({ inputs, outputs }) => [
          ...inputs.filter(({ from, values }) => !values && (!from || from.as === 'gradient')),
          ...outputs.filter(({ expected, saved }) => !expected && !saved),
        ]);
        t.deepEqual(unknown, [], 'every input has values and every output expected ones');
      });
    t.end();
  });

test('the schema refuses what is incomplete', (t) => {
  const [softmax] = referenceCases('softmax');
  const broken = (change: (manifest: Manifest) => void): boolean => {
    const { manifest } = exported(kernelNamed('softmax'), softmax, defaultCaps);
    const copy = JSON.parse(JSON.stringify(manifest)) as Manifest;
    change(copy);
    return validate(copy) as boolean;
  };
  t.ok(broken(() => undefined));
  t.notOk(
    broken((m) => ((m as { version: number }).version = 2)),
    'another version',
  );
  t.notOk(broken((m) => delete (m.parts[0] as Partial<ManifestPart>).tables));
  t.notOk(broken((m) => (m.parts[0].dispatches[0].bindings[0].access = 'write' as 'read')));
  t.notOk(broken((m) => (m.parts[0].inputs[0].bytes = -4)));
  t.end();
});

test('uniforms, tables and tensors in place are told', (t) => {
  const part = (name: string, at: number): ManifestPart =>
    exported(kernelNamed(name), referenceCases(name)[0], defaultCaps).manifest.parts[at];
  const entropy = part('cross-entropy', 0);
  const ignored = entropy.dispatches[0].uniforms?.fields.find(({ name }) => name === 'ignore_index');
  t.deepEqual(ignored, { name: 'ignore_index', type: 'i32', offset: 8, value: -100 });
  t.equal(entropy.dispatches[0].uniforms?.words[2], 2 ** 32 - 100);
  t.deepEqual(entropy.host, [{ name: 'targets', shape: [6], values: [0, 4, -100, 2, 2, 1] }]);
  t.deepEqual(entropy.tables[0].values, entropy.host[0].values);

  const step = part('adamw', 0);
  t.deepEqual(
    step.outputs.map(({ name, inPlace, buffer }) => [name, inPlace, buffer]),
    ['param', 'm', 'v'].map((name) => [name, name, name]),
  );
  t.deepEqual(
    step.tables[0].columns?.map(({ name, type, offset }) => `${name} ${type} ${offset}`),
    ['group u32 0', 'first u32 4', 'size u32 8', 'step_size f32 12', 'inv_sqrt_bias2 f32 16', 'decay f32 20'],
  );

  const back = part('attention', 1);
  t.deepEqual(
    back.inputs.map(({ name, from }) => `${name} ${from?.as} ${from?.name}`),
    ['q input q', 'k input k', 'v input v', 'out output out', 'lse output lse', 'grad_out gradient out'],
  );
  t.ok(part('attention', 0).outputs.find(({ name }) => name === 'lse')?.saved);
  t.end();
});

test('a plan of ones own, and what cannot be exported', (t) => {
  const plan = kernelNamed('add').plan({
    shapes: { a: [3], b: [3] },
    params: {},
    caps: defaultCaps,
    host: {},
  });
  const spec = { shape: [3], dtype: 'f32' } as const;
  const files = new ShaderFiles();
  const part = exportPlan(plan, { name: 'sum', inputs: { a: spec, b: spec } }, files);
  t.deepEqual(Object.keys(files.texts), ['elementwise.wgsl']);
  t.equal(part.totals.flops, 3);
  t.throws(() => exportPlan(plan, { name: 'sum', inputs: { a: spec } }, files), /nothing is bound to "b"/);
  const request = { shapes: { a: [3], b: [4] }, params: {}, caps: defaultCaps, host: {} };
  t.throws(() => exportKernel(kernelNamed('add'), request), /^InputError: add: input "b"/);
  const step = {
    shapes: { lengths: [1] },
    params: { maxWidth: 2 },
    caps: defaultCaps,
    host: { lengths: Int32Array.of(3) },
  };
  t.throws(() => exportKernel(kernelNamed('span-enumerate'), step, { grad: true }), /has no backward/);
  t.throws(() => declarationsOf('fn main() {}', 'main'), /cannot read the entry point/);
  t.end();
});

test('what is exported of a request that is none', (t) => {
  const exporting =
    (shapes: object, caps: object = defaultCaps, options: object = {}) =>
    () =>
      exportKernel(
        kernelNamed('softmax'),
        { shapes: shapes as Record<string, number[]>, params: {}, host: {}, caps: caps as Caps },
        options,
      );
  for (const shape of [
    [2.5, 3],
    [NaN, 3],
    [-2, 3],
  ])
    t.throws(exporting({ x: shape }), /^InputError: softmax: input "x": \[.*\] is not a shape$/);
  t.throws(exporting({ x: [2], y: [2] }), /^InputError: softmax: "y" is not an input \(it takes x\)$/);
  t.throws(
    exporting({ x: [2] }, { software: true }),
    /^InputError: softmax: caps: "max\w+" must be a number/,
  );
  t.throws(
    exporting({ x: [2] }, defaultCaps, { gradd: true }),
    /^InputError: softmax: there is no option "gradd"/,
  );
  const linear = { shapes: { x: [2, 8], weight: [4, 8] }, caps: defaultCaps, host: {} };
  for (const [name, stored] of [
    ['out', { params: { dtype: 'f16' } }],
    ['weight', { params: {}, f16: ['weight'] }],
  ] as const)
    t.throws(
      () => exportKernel(kernelNamed('linear'), { ...linear, ...stored }),
      new RegExp(`^InputError: linear: "${name}" is f16, and a manifest has none but f32 and i32$`),
    );
  t.end();
});

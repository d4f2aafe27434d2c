// Runs a manifest (docs/export.md) on any GPUDevice: in a browser, Deno, Bun or Node. It knows nothing else of Spanwise.
const usage = { storage: 0x80 | 0x8 | 0x4, uniform: 0x40 | 0x8, staging: 0x1 | 0x8 };

/** The tensors of a safetensors file by name. */
function parseSafetensors(bytes) {
  const start = 8 + Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.slice(8, start)));
  delete header.__metadata__;
  const valuesOf = ({ dtype, data_offsets: [from, to] }) =>
    new { F32: Float32Array, I32: Int32Array }[dtype](bytes.slice(start + from, start + to));
  return Object.fromEntries(Object.entries(header).map(([name, entry]) => [name, valuesOf(entry)]));
}

/**
 * Runs the parts of a manifest. `read(file)` resolves to the bytes of a file of its folder; `given` has values of inputs and tables
 * by `part.name`, for those that shall not have the stored ones. Returns the values of the outputs by `part.name`.
 */
export async function runManifest(device, manifest, read, given = {}) {
  const files = {};
  const stored = async (place) => {
    if (!place) throw new Error('there are no values of inputs: export it with vectors, or give them');
    return (files[place.file] ??= parseSafetensors(await read(place.file)))[place.tensor];
  };
  const pipelines = {};
  const tensors = {}; // by part.name: [buffer, offset]
  const results = {};
  const made = [];
  const makeBuffer = (size, use) => (made.push(device.createBuffer({ size, usage: use })), made.at(-1));

  for (const { name: part, buffers, inputs, outputs, tables, dispatches } of manifest.parts) {
    const own = Object.fromEntries(
      buffers.map(({ name, bytes }) => [name, makeBuffer(bytes, usage.storage)]),
    );
    const encoder = device.createCommandEncoder();
    for (const { name, buffer, offset, values } of tables)
      device.queue.writeBuffer(own[buffer], offset, Int32Array.from(given[`${part}.${name}`] ?? values));
    for (const { name, from, values, buffer, offset, bytes } of inputs) {
      if (from && from.as !== 'gradient')
        encoder.copyBufferToBuffer(...tensors[`${from.part}.${from.name}`], own[buffer], offset, bytes);
      else device.queue.writeBuffer(own[buffer], offset, given[`${part}.${name}`] ?? (await stored(values)));
    }
    for (const { name, buffer, offset } of [...inputs, ...outputs])
      tensors[`${part}.${name}`] = [own[buffer], offset];

    const pass = encoder.beginComputePass();
    for (const { shader, entryPoint, bindings, uniforms, workgroups } of dispatches) {
      const types = { read: 'read-only-storage', read_write: 'storage' };
      const entries = bindings.map(({ binding, buffer, offset, size }) => {
        return { binding, resource: { buffer: own[buffer], offset, size } };
      });
      const layout = bindings.map(({ binding, access }) => [binding, types[access]]);
      if (uniforms) {
        const buffer = makeBuffer(uniforms.bytes, usage.uniform);
        device.queue.writeBuffer(buffer, 0, Uint32Array.from(uniforms.words));
        entries.push({ binding: uniforms.binding, resource: { buffer } });
        layout.push([uniforms.binding, 'uniform']);
      }
      const { pipeline, group } = (pipelines[`${shader} ${entryPoint}`] ??= await (async () => {
        const bound = layout.map(([binding, type]) => ({ binding, visibility: 4, buffer: { type } }));
        const group = device.createBindGroupLayout({ entries: bound });
        const module = device.createShaderModule({ code: new TextDecoder().decode(await read(shader)) });
        const all = device.createPipelineLayout({ bindGroupLayouts: [group] });
        return {
          group,
          pipeline: await device.createComputePipelineAsync({ layout: all, compute: { module, entryPoint } }),
        };
      })());
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, device.createBindGroup({ layout: group, entries }));
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();

    const staged = outputs.map(({ buffer, offset, bytes }) => {
      const staging = makeBuffer(Math.max(4, bytes), usage.staging);
      encoder.copyBufferToBuffer(own[buffer], offset, staging, 0, bytes);
      return staging;
    });
    device.queue.submit([encoder.finish()]);
    for (const [i, { name, dtype, bytes, expected }] of outputs.entries()) {
      await staged[i].mapAsync(1);
      const values = new { f32: Float32Array, i32: Int32Array }[dtype](
        staged[i].getMappedRange().slice(0, bytes),
      );
      results[`${part}.${name}`] = {
        values,
        error: expected && relativeError(values, await stored(expected)),
      };
    }
  }
  for (const buffer of made) buffer.destroy();
  return results;
}

/** ‖actual − expected‖₂ / max(‖expected‖₂, 0.001). */
function relativeError(actual, expected) {
  const norm = (values) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  return norm(Array.from(expected, (v, i) => actual[i] - v)) / Math.max(norm(Array.from(expected)), 1e-3);
}

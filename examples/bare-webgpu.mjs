// A kernel in a runtime of one's own: the plan says what to bind and dispatch, and plain WebGPU does it.
//   node examples/bare-webgpu.mjs      (in a browser: navigator.gpu in place of Spanwise's device)
import { defaultCaps, sizeOf, wgslOf } from 'spanwise/kernels';
import { softmax } from 'spanwise/kernels/softmax';
import { openRuntime } from 'spanwise/node';

const runtime = await openRuntime(); // here only for its GPUDevice
const { device } = runtime;
const STORAGE = 0x80 | 0x8 | 0x4; // STORAGE | COPY_DST | COPY_SRC
const UNIFORM = 0x40 | 0x8; // UNIFORM | COPY_DST
const READ = 0x1 | 0x8; // MAP_READ | COPY_DST

const inputs = { x: new Float32Array([1, 2, 3, 4, 5, 6]) };
const shapes = { x: [2, 3] };
const plan = softmax.plan({ shapes, params: {}, caps: defaultCaps, host: {} });

// Buffers: inputs, outputs, scratch and host tables, by the names that the plan uses.
const round = (bytes) => Math.max(16, Math.ceil(bytes / 16) * 16);
const buffers = {};
for (const [name, data] of Object.entries({ ...inputs, ...plan.data })) {
  buffers[name] = device.createBuffer({ size: round(data.byteLength), usage: STORAGE });
  device.queue.writeBuffer(buffers[name], 0, data);
}
for (const [name, spec] of Object.entries({ ...plan.outputs, ...plan.scratch }))
  buffers[name] = device.createBuffer({ size: round(4 * sizeOf(spec.shape)), usage: STORAGE });

const encoder = device.createCommandEncoder();
for (const dispatch of plan.dispatches) {
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({ code: wgslOf(dispatch) }),
      entryPoint: dispatch.entryPoint,
    },
  });
  // Uniforms are 4-byte fields in order: a number is a u32, { f32 } a float.
  const fields = new DataView(new ArrayBuffer(round(4 * dispatch.uniforms.length)));
  dispatch.uniforms.forEach((field, i) =>
    typeof field === 'number'
      ? fields.setUint32(4 * i, field, true)
      : fields.setFloat32(4 * i, field.f32, true),
  );
  const uniforms = device.createBuffer({ size: fields.byteLength, usage: UNIFORM });
  device.queue.writeBuffer(uniforms, 0, fields.buffer);
  const bound = [...dispatch.bindings.map(({ tensor }) => buffers[tensor]), uniforms];
  const entries = bound.map((buffer, binding) => ({ binding, resource: { buffer } }));
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(...dispatch.workgroups);
  pass.end();
}
const bytes = 4 * sizeOf(plan.outputs.out.shape);
const staging = device.createBuffer({ size: bytes, usage: READ });
encoder.copyBufferToBuffer(buffers.out, 0, staging, 0, bytes);
device.queue.submit([encoder.finish()]);
await staging.mapAsync(1);
console.log(new Float32Array(staging.getMappedRange().slice(0))); // two rows of 0.09 0.24 0.67
staging.destroy();
runtime.close();

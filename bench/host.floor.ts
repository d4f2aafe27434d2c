/**
 * What a step's dispatches cost the host in a plain loop: as many as it has, encoded with bind groups that were made before,
 * submitted and forgotten. One write of uniforms, one pass, one submit; a pipeline and a dynamic offset for each.
 */

/** Bytes from one dispatch's uniforms to the next's. */
const SLOT = 256;
/** As many buffers and pipelines as a small model's step has. */
const BUFFERS = 600;
const PIPELINES = 40;
const BYTES = 65_536;
const COMPUTE = 0x4;
const STORAGE = 0x80 | 0x4 | 0x8; // STORAGE | COPY_SRC | COPY_DST
const UNIFORM = 0x40 | 0x8; // UNIFORM | COPY_DST

const code = `struct Params { size: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < params.size) { out[id.x] = a[id.x] + b[id.x]; }
}`;

/** Steps of `count` dispatches on a device; each call of the result is one. */
export async function floorSteps(device: GPUDevice, count: number): Promise<() => void> {
  const module = device.createShaderModule({ code });
  const storage = (binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry => ({
    ...{ binding, visibility: COMPUTE, buffer: { type } },
  });
  const layout = device.createBindGroupLayout({
    entries: [
      storage(0, 'read-only-storage'),
      storage(1, 'read-only-storage'),
      storage(2, 'storage'),
      { binding: 3, visibility: COMPUTE, buffer: { type: 'uniform', hasDynamicOffset: true } },
    ],
  });
  const pipelineLayout = device.createPipelineLayout({ bindGroupLayouts: [layout] });
  const pipelines: GPUComputePipeline[] = [];
  for (let i = 0; i < PIPELINES; i++)
    pipelines.push(
      await device.createComputePipelineAsync({
        layout: pipelineLayout,
        compute: { module, entryPoint: 'main' },
      }),
    );
  const buffers = Array.from({ length: BUFFERS }, () => device.createBuffer({ size: BYTES, usage: STORAGE }));
  const uniforms = device.createBuffer({ size: SLOT * count, usage: UNIFORM });
  const groups = Array.from({ length: count }, (_, i) =>
    device.createBindGroup({
      layout,
      entries: [
        ...[i, 7 * i + 1, 13 * i + 2].map((at, binding) => ({
          ...{ binding, resource: { buffer: buffers[at % BUFFERS] } },
        })),
        { binding: 3, resource: { buffer: uniforms, size: SLOT } },
      ],
    }),
  );
  const values = new Uint32Array((SLOT / 4) * count);
  return () => {
    device.queue.writeBuffer(uniforms, 0, values);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let i = 0; i < count; i++) {
      pass.setPipeline(pipelines[i % PIPELINES]);
      pass.setBindGroup(0, groups[i], [SLOT * i]);
      pass.dispatchWorkgroups(4);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  };
}

/**
 * WebGPU's own types as the public declarations name them: those of the program that uses Spanwise, be they from
 * TypeScript's DOM library or from `@webgpu/types` (the two cannot stand in one program), found through their globals.
 * A program with neither type-checks too: to it they are objects that only Spanwise looks into.
 */
export type GPU = typeof globalThis extends { GPU: { prototype: infer Type } } ? Type : object;
export type GPUDevice = typeof globalThis extends { GPUDevice: { prototype: infer Type } } ? Type : object;
export type GPUAdapterInfo = typeof globalThis extends { GPUAdapterInfo: { prototype: infer Type } }
  ? Type
  : object;
export type GPUBuffer = typeof globalThis extends { GPUBuffer: { prototype: infer Type } } ? Type : object;
export type GPUCommandEncoder = typeof globalThis extends { GPUCommandEncoder: { prototype: infer Type } }
  ? Type
  : object;
export type GPUComputePipeline = typeof globalThis extends { GPUComputePipeline: { prototype: infer Type } }
  ? Type
  : object;
export type GPUBindGroup = typeof globalThis extends { GPUBindGroup: { prototype: infer Type } }
  ? Type
  : object;
export type GPUBindGroupLayout = typeof globalThis extends { GPUBindGroupLayout: { prototype: infer Type } }
  ? Type
  : object;

// WebGPU of the engine that runs this: Node, Deno or Bun.
import { readFile } from 'node:fs/promises';

/** The version of an installed package. */
async function versionOf(name) {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')).version;
}

const deno = () => ({ gpu: globalThis.navigator.gpu, version: process.versions.deno, webgpu: 'wgpu, Naga' });

async function bun() {
  const { createGPUInstance, globals } = await import('bun-webgpu');
  globals();
  const gpu = createGPUInstance();
  // bun-webgpu 0.1.5 fills limits that are not asked for with defaults that its own adapter refuses (8, of at most 0).
  const requestAdapter = gpu.requestAdapter.bind(gpu);
  gpu.requestAdapter = async (options) => {
    const adapter = await requestAdapter(options);
    const requestDevice = adapter?.requestDevice.bind(adapter);
    const all = (requiredLimits) => ({ ...adapter.limits, ...requiredLimits });
    if (adapter)
      adapter.requestDevice = (asked) =>
        requestDevice({ ...asked, requiredLimits: all(asked?.requiredLimits) });
    return adapter;
  };
  return { gpu, version: process.versions.bun, webgpu: `Dawn (bun-webgpu ${await versionOf('bun-webgpu')})` };
}

async function node() {
  // Dawn polls for events through setImmediate and would take a core from a software device.
  globalThis.setImmediate = (callback, ...given) => setTimeout(callback, 1, ...given);
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const webgpu = `Dawn (webgpu ${await versionOf('webgpu')})`;
  return { gpu: create([]), version: process.versions.node, webgpu };
}

/** Its `gpu`, the engine's version, and what implements WebGPU. */
export const openWebGpu = () => {
  if (process.versions.deno) return deno();
  return process.versions.bun ? bun() : node();
};

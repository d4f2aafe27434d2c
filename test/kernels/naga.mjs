// Has Deno's WebGPU (wgpu, whose WGSL is Naga's) make a module of every text of a JSON file, and prints what it says against
// them, by name: deno run --allow-read naga.mjs TEXTS.json
import { readFileSync } from 'node:fs';

const adapter = await globalThis.navigator.gpu.requestAdapter();
if (!adapter) throw new Error('there is no WebGPU adapter');
const device = await adapter.requestDevice();
const wrong = {};
for (const [name, code] of Object.entries(JSON.parse(readFileSync(process.argv[2], 'utf8')))) {
  device.pushErrorScope('validation');
  device.createShaderModule({ code });
  const error = await device.popErrorScope();
  if (error) wrong[name] = error.message;
}
console.log(JSON.stringify(wrong));
device.destroy();

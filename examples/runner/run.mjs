// Runs exported folders and compares what they make with what is expected (docs/export.md):
//   deno run --allow-read run.mjs FOLDER…      or, after `npm install webgpu`,      node run.mjs FOLDER…
import { readFile } from 'node:fs/promises';
import { runManifest } from './manifest.mjs';

/** A device with all that the parts require. */
async function requestDevice(gpu, parts) {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('there is no WebGPU adapter');
  const limits = {};
  const features = new Set();
  for (const { requires } of parts) {
    for (const feature of requires.features) features.add(feature);
    for (const [name, limit] of Object.entries(requires.limits))
      limits[name] = Math.max(limits[name] ?? 0, limit);
    const { subgroupMinSize = 0, subgroupMaxSize = Infinity } = adapter.info;
    const { min, max } = requires.subgroups ?? { min: 0, max: Infinity };
    if (subgroupMinSize < min || subgroupMaxSize > max)
      throw new Error(
        `made for subgroups of ${min} to ${max}, not of ${subgroupMinSize} to ${subgroupMaxSize}`,
      );
  }
  return adapter.requestDevice({ requiredFeatures: [...features], requiredLimits: limits });
}

const gpu = globalThis.navigator?.gpu ?? (await import('webgpu')).create([]);

/** Compares the outputs of a folder. Returns whether there are some to compare, and all agree. */
async function check(folder) {
  const read = async (file) => new Uint8Array(await readFile(`${folder}/${file}`)).buffer;
  const manifest = JSON.parse(await readFile(`${folder}/manifest.json`, 'utf8'));
  const device = await requestDevice(gpu, manifest.parts);
  let agrees = true;
  const results = Object.entries(await runManifest(device, manifest, read));
  const compared = results.filter(([, { error }]) => error !== undefined);
  for (const [name, { error }] of compared) {
    const ok = error <= manifest.vectors.tolerance;
    agrees &&= ok;
    console.log(`${folder}  ${name}  error ${error.toExponential(1)}  ${ok ? 'agrees' : 'WRONG'}`);
  }
  device.destroy();
  if (compared.length === 0) throw new Error('nothing to compare with: export it with vectors');
  return agrees;
}

const folders = process.argv.slice(2);
if (folders.length === 0) console.error('usage: run.mjs FOLDER…');
let agrees = folders.length > 0;
for (const folder of folders) {
  const agree = await check(folder).catch(({ message }) => console.error(`${folder}: ${message}`));
  agrees &&= agree === true;
}
process.exit(agrees ? 0 : 1);

// Runs the suite in Node, Deno or Bun:   main.mjs SUITE ASKED   prints the answer and the versions of what ran, as JSON.
import { readFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';

const [suite, asked] = process.argv.slice(2);

/** The version of an installed package, by one of its files. */
async function versionOf(name) {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  return JSON.parse(await readFile(file, 'utf8')).version;
}

async function engine() {
  if (process.versions.deno)
    return { gpu: globalThis.navigator.gpu, version: process.versions.deno, webgpu: 'wgpu, Naga' };
  if (process.versions.bun) {
    const { createGPUInstance } = await import('bun-webgpu');
    const webgpu = `Dawn (bun-webgpu ${await versionOf('bun-webgpu')})`;
    return { gpu: createGPUInstance(), version: process.versions.bun, webgpu };
  }
  // Dawn polls for events through setImmediate and would take a core from a software device.
  globalThis.setImmediate = (callback, ...given) => setTimeout(callback, 1, ...given);
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const webgpu = `Dawn (webgpu ${await versionOf('webgpu')})`;
  return { gpu: create([]), version: process.versions.node, webgpu };
}

const { gpu, version, webgpu } = await engine();
const { run } = await import(pathToFileURL(suite).href);
const answer = await run(gpu, JSON.parse(asked));
await new Promise((done) => process.stdout.write(`${JSON.stringify({ version, webgpu, answer })}\n`, done));
process.exit();

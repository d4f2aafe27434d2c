// Runs the suite in Node, Deno or Bun:   main.mjs SUITE ASKED   prints the answer and the versions of what ran, as JSON.
import { pathToFileURL } from 'node:url';
import { openWebGpu } from './webgpu.mjs';

const [suite, asked] = process.argv.slice(2);
const { gpu, version, webgpu } = await openWebGpu();
const { run } = await import(pathToFileURL(suite).href);
const answer = await run(gpu, JSON.parse(asked));
await new Promise((done) => process.stdout.write(`${JSON.stringify({ version, webgpu, answer })}\n`, done));
process.exit();

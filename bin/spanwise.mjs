#!/usr/bin/env node
import { existsSync } from 'node:fs';

const cli = new URL('../dist/cli.js', import.meta.url);
if (!existsSync(cli)) {
  console.error('spanwise: dist/cli.js is missing: run `npm run build`');
  process.exit(1);
}
const { run } = await import(cli.href);
await run();

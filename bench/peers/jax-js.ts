/** jax-js (npm @jax-js/jax): NumPy and JAX for the browser, on WebGPU. In Node it runs on Dawn behind `shareDevice`. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../src/cli/package-root.ts';
import type { Peer } from './peer.ts';

const PACKAGE = '@jax-js/jax';
const INSTALL_MS = 120_000;

/** An array of jax-js: an operation consumes it, unless it is given `ref`. */
interface JaxArray {
  ref: JaxArray;
  reshape(shape: number[]): JaxArray;
  data(): Promise<Float32Array>;
}

interface JaxJs {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): void;
  blockUntilReady(arrays: JaxArray[]): Promise<unknown>;
  jit<F>(body: F): F;
  numpy: {
    array(values: Float32Array): JaxArray;
    matmul(a: JaxArray, b: JaxArray): JaxArray;
    transpose(a: JaxArray): JaxArray;
  };
}

/** Installs what bench/peers/package.json pins, there, without running any of its scripts. */
async function install(folder: string): Promise<void> {
  const flags = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund'];
  await promisify(execFile)('npm', ['install', '--prefix', folder, ...flags], {
    timeout: INSTALL_MS,
    shell: process.platform === 'win32', // npm is a .cmd file there
  });
}

/**
 * Loads jax-js on the shared device, installing it first where it is missing.
 * Errors: it cannot be had (no network, no checkout), or it finds no WebGPU.
 */
export async function loadJaxJs(): Promise<Peer> {
  const folder = join(packageRoot(), 'bench', 'peers');
  const manifest = join(folder, 'node_modules', PACKAGE, 'package.json');
  if (!existsSync(manifest)) await install(folder);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  const jax = createRequire(join(folder, 'package.json'))(PACKAGE) as JaxJs;
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('it finds no WebGPU');
  jax.defaultDevice('webgpu');
  const { numpy } = jax;
  return {
    name: 'jax-js',
    version,
    runsOn: 'webgpu, same device, jit',
    async product({ M, K, N, x, weight }) {
      const a = numpy.array(x).reshape([M, K]);
      const b = numpy.array(weight).reshape([N, K]);
      await jax.blockUntilReady([a, b]);
      const product = jax.jit((left: JaxArray, right: JaxArray) =>
        numpy.matmul(left, numpy.transpose(right)),
      );
      return () => product(a.ref, b.ref).data();
    },
  };
}

/**
 * Processes: one that opened a device ends by itself however it ends; the software device is unpacked where it can
 * be, by several processes at once. Each case runs this very file as a child, told by an environment variable.
 */
import { spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { brotliDecompressSync } from 'node:zlib';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'tape';
import {
  DeviceUnavailableError,
  layerNorm,
  linear,
  openDevice,
  openRuntime,
  Runtime,
  scale,
  softmax,
} from '../../src/node.ts';
import { pacedWait } from '../../src/gpu/pump.ts';
import {
  mayHaveVulkan,
  softwareForced,
  tarFiles,
  unpackSoftwareDevice,
  useSoftwareDevice,
} from '../../src/gpu/software.ts';

const CASE = 'SPANWISE_TEST_CASE';

const children: Record<string, () => Promise<void>> = {
  async success() {
    const runtime = await openRuntime();
    console.log(await compute(runtime));
    runtime.close();
  },
  async 'closed at once'() {
    (await openRuntime()).close();
    console.log('closed');
  },
  async 'no close'() {
    console.log(await compute(await openRuntime()));
  },
  async 'work under way'() {
    const runtime = await openRuntime();
    const x = runtime.upload(new Float32Array(1_000_000), [1_000_000]);
    scale(x, 2);
    void runtime.flush();
    console.log('left');
  },
  async error() {
    console.log(await compute(await openRuntime()));
    throw new Error('on purpose');
  },
  async 'rejected read'() {
    const runtime = await openRuntime();
    const reading = compute(runtime);
    runtime.device.destroy();
    await reading;
  },
  /** At several moments of a first run, whose pipelines are still to be compiled. */
  async 'closed with work pending'() {
    const ended: string[] = [];
    for (const ms of [undefined, 0, 30])
      for (const wait of ['readAll', 'finish', 'flush', 'submitted', 'profile'] as const) {
        const runtime = await openRuntime({ defaultLimits: true });
        const x = runtime.upload(new Float32Array(12), [3, 4]);
        const run = () => [softmax(x), linear(x, x), layerNorm(x, x.slice(0, [4]), x.slice(0, [4]), 1e-5)];
        const made = wait === 'profile' ? undefined : run();
        const pending = {
          readAll: () => runtime.readAll(made ?? []),
          finish: () => runtime.finish(),
          flush: () => runtime.flush(),
          submitted: () => runtime.flush().then(() => runtime.close()),
          profile: () => runtime.profile(async () => void run()),
        }[wait]();
        const settled = pending.then(
          () => 'done',
          (error: Error) => (error.message === 'the runtime is closed' ? 'closed' : String(error)),
        );
        if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms));
        runtime.close();
        ended.push(await settled);
      }
    console.log([...new Set(ended)].sort().join());
  },
  /** A device of one's own, whose instance nothing else references. */
  async 'instance collected'() {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    if (softwareForced() || !mayHaveVulkan()) useSoftwareDevice('forced');
    const { create } = await import('webgpu');
    const runtime = new Runtime(await openDevice(create([])), { wait: pacedWait });
    const computed = new Set<string>();
    for (let i = 0; i < 5; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
      computed.add(await compute(runtime));
    }
    console.log([...computed].join());
    runtime.close();
  },
  /** Threads of the process while devices are opened and closed: with the second, and at most. */
  async 'opened and closed'() {
    const threads: number[] = [];
    for (let i = 1; i <= 30; i++) {
      const runtime = await openRuntime({ defaultLimits: true });
      await compute(runtime);
      threads.push(readdirSync('/proc/self/task').length);
      runtime.close();
    }
    console.log([threads[1], Math.max(...threads)].join());
  },
  async where() {
    const runtime = await openRuntime();
    console.log(`${runtime.info.name} software=${runtime.info.software} ${await compute(runtime)}`);
    runtime.close();
  },
  async 'no fallback'() {
    await openRuntime({ fallback: false }).catch((error: Error) =>
      console.log(error instanceof DeviceUnavailableError, error.message),
    );
  },
  async 'started once'() {
    console.log('started');
    await children.where();
    await children.where();
  },
  async worker() {
    const worker = new Worker(new URL(import.meta.url), { env: { ...process.env, [CASE]: 'where' } });
    await new Promise((resolve, reject) => worker.on('exit', resolve).on('error', reject));
  },
  async unpack() {
    console.log(unpackSoftwareDevice());
  },
};

async function compute(runtime: Awaited<ReturnType<typeof openRuntime>>): Promise<string> {
  return [...(await scale(runtime.upload(new Float32Array([1, 2]), [2]), 3).read())].join();
}

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** The environment of a process that no one has put on the software device. */
const bare = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(SPANWISE_|VK_ICD_FILENAMES|VK_DRIVER_FILES|LD_LIBRARY_PATH)/.test(name),
  ),
);

/** Runs a case; fails where it has not ended by itself within 20 s (about half a second is usual). */
function child(name: string, env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const started = spawn(process.execPath, [process.argv[1]], { env: { ...bare, ...env, [CASE]: name } });
    const timer = setTimeout(() => {
      started.kill('SIGKILL');
      reject(new Error(`"${name}" does not end`));
    }, 20_000);
    const ended: Ended = { code: null, out: '', err: '' };
    started.stdout.on('data', (chunk) => (ended.out += chunk));
    started.stderr.on('data', (chunk) => (ended.err += chunk));
    started.on('close', (code) => {
      clearTimeout(timer);
      resolve({ ...ended, code, out: ended.out.trim() });
    });
  });
}

function tests(): void {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-test-'));
  test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
  const noSoftware = process.platform === 'linux' && process.arch === 'x64' ? false : 'Linux x64 only';

  test('a process that opened a device ends by itself', async (t) => {
    t.deepEqual(await child('success'), { code: 0, out: '3,6', err: '' }, 'after close');
    t.deepEqual(
      await child('closed at once'),
      { code: 0, out: 'closed', err: '' },
      'closed as soon as it is open',
    );
    t.deepEqual(await child('no close'), { code: 0, out: '3,6', err: '' }, 'without close');
    t.deepEqual(await child('work under way'), { code: 0, out: 'left', err: '' }, 'with work under way');
    const failed = await child('error');
    t.equal(failed.code, 1, 'with an uncaught error');
    t.match(failed.err, /Error: on purpose/);
    const lost = await child('rejected read');
    t.equal(lost.code, 1, 'with a device lost in mid-read');
    t.match(lost.err, /DeviceLostError/);
  });

  test('a device keeps the instance that it came from', async (t) => {
    t.deepEqual(await child('instance collected'), { code: 0, out: '3,6', err: '' });
  });

  test('a runtime is closed while it is waited for', async (t) => {
    const { code, out, err } = await child('closed with work pending');
    t.deepEqual([code, err], [0, '']);
    t.match(out, /^closed(,done)?$/, 'what was pending rejects, or had ended');
  });

  test('what closed runtimes leave is collected before long', { skip: noSoftware }, async (t) => {
    const { code, out, err } = await child('opened and closed');
    t.deepEqual([code, err], [0, '']);
    const [second, most] = out.split(',').map(Number);
    t.ok(
      most < second + 24,
      `threads with the second of 30 devices and at most, 50 more if none went: ${out}`,
    );
  });

  test('SPANWISE_DEVICE=software forces the software device', { skip: noSoftware }, async (t) => {
    const { code, out } = await child('where', { SPANWISE_DEVICE: 'software' });
    t.equal(code, 0);
    t.match(out, /SwiftShader.* software=true 3,6$/i);
  });

  test(
    'without a Vulkan loader the software device is unpacked and used',
    { skip: noSoftware || (mayHaveVulkan() && bareHasVulkan() ? 'this machine has a Vulkan loader' : false) },
    async (t) => {
      const cache = join(folder, 'fresh');
      const { code, out, err } = await child('where', { XDG_CACHE_HOME: cache });
      t.deepEqual([code, err], [0, '']);
      t.match(out, /software=true 3,6$/);
      t.equal(readdirSync(join(cache, 'spanwise')).length, 1, 'one folder, nothing half-done beside it');
      const refused = await child('no fallback', { XDG_CACHE_HOME: cache });
      t.match(refused.out, /^true no WebGPU adapter was found/, 'fallback: false throws instead');
    },
  );

  test('the software device joins a process that runs', { skip: noSoftware }, async (t) => {
    const forced = { SPANWISE_DEVICE: 'software' };
    const device = 'SwiftShader.* software=true 3,6';
    const once = await child('started once', forced);
    t.match(once.out, new RegExp(`^started\\n.*${device}\\n.*${device}$`, 'i'), 'which is not started again');
    t.equal(once.err, '');
    t.match((await child('worker', forced)).out, new RegExp(`^.*${device}$`, 'i'), 'a worker');
    // A Vulkan loader, under the name that Dawn asks for, that knows no driver.
    const loader = join(folder, 'loader');
    mkdirSync(loader);
    writeFileSync(join(loader, 'libvulkan.so.1'), vulkanLoader());
    const bereft = { LD_LIBRARY_PATH: loader, VK_DRIVER_FILES: join(folder, 'none.json') };
    t.match(
      (await child('where', bereft)).out,
      new RegExp(`${device}$`, 'i'),
      'beside a loader without a driver',
    );
    const refused = await child('worker', bereft);
    t.match(refused.err, /a worker cannot change that: set SPANWISE_DEVICE=software/);
    t.match(
      (await child('worker', { ...bereft, ...forced })).out,
      new RegExp(`^.*${device}$`, 'i'),
      'a worker that says so',
    );
  });

  test('several processes unpack at once', { skip: noSoftware }, async (t) => {
    const cache = join(folder, 'shared');
    const ended = await Promise.all([1, 2, 3].map(() => child('unpack', { XDG_CACHE_HOME: cache })));
    t.deepEqual([...new Set(ended.map(({ code, err }) => `${code} ${err}`))], ['0 ']);
    t.equal(new Set(ended.map(({ out }) => out)).size, 1, 'all use one folder');
    t.ok(existsSync(join(ended[0].out, 'libvulkan.so.1')));
    t.equal(readdirSync(join(cache, 'spanwise')).length, 1, 'the losers clean up');
  });

  test('a cache folder that cannot be made falls back', { skip: noSoftware }, async (t) => {
    const file = join(folder, 'a-file');
    writeFileSync(file, '');
    const temporary = mkdtempSync(join(folder, 'tmp-'));
    for (const cache of [file, join(file, 'below')]) {
      const { code, out } = await child('unpack', { XDG_CACHE_HOME: cache, TMPDIR: temporary });
      t.equal(code, 0, cache);
      t.ok(out.startsWith(temporary) && existsSync(join(out, 'libvulkan.so.1')), out);
      t.equal(statSync(dirname(out)).mode & 0o777, 0o700, 'no one else may write there');
    }
  });

  test('a driver that someone else may have put there is not taken', { skip: noSoftware }, async (t) => {
    const [driver, temporary] = ['planted-', 'shared-tmp-'].map((name) => mkdtempSync(join(folder, name)));
    const unpacked = await child('unpack', { XDG_CACHE_HOME: driver });
    const own = join(driver, 'spanwise');
    t.ok(unpacked.out.startsWith(own), unpacked.out);
    symlinkSync(own, join(temporary, `spanwise-cache-${process.getuid?.()}`));
    const file = join(folder, 'not-a-folder');
    writeFileSync(file, '');
    const refused = await child('unpack', { XDG_CACHE_HOME: file, TMPDIR: temporary });
    t.equal(refused.code, 1, 'a link');
    t.match(
      refused.err,
      /DeviceUnavailableError: the software device could not be unpacked to .*of your own/,
    );
    for (const [name, open] of [
      ['a folder that all may write to', own],
      ['one inside it', join(own, basename(unpacked.out))],
    ]) {
      chmodSync(open, 0o777);
      const { code, err } = await child('unpack', { XDG_CACHE_HOME: driver, TMPDIR: file });
      t.equal(code, 1, name);
      t.match(err, /could not be unpacked to .* that nobody else may write to/);
      chmodSync(open, 0o700);
    }
    t.equal((await child('unpack', { XDG_CACHE_HOME: driver })).code, 0);
    if (process.getuid?.() !== 0) return; // only root can give folders away
    chownSync(own, 12345, 12345);
    const elsewhere = mkdtempSync(join(folder, 'own-tmp-'));
    const { out } = await child('unpack', { XDG_CACHE_HOME: driver, TMPDIR: elsewhere });
    t.ok(out.startsWith(elsewhere), "another user's folder");
  });
}

/** The Vulkan loader in the archive that the software device comes from. */
function vulkanLoader(): Buffer {
  const archive = readFileSync('node_modules/@sparticuz/chromium/bin/swiftshader.tar.br');
  return new Map(tarFiles(brotliDecompressSync(archive))).get('libvulkan.so.1') as Buffer;
}

/** Whether a Vulkan loader is there for a process in the `bare` environment. */
function bareHasVulkan(): boolean {
  const { LD_LIBRARY_PATH } = process.env;
  delete process.env.LD_LIBRARY_PATH;
  try {
    return mayHaveVulkan();
  } finally {
    if (LD_LIBRARY_PATH !== undefined) process.env.LD_LIBRARY_PATH = LD_LIBRARY_PATH;
  }
}

const wanted = process.env[CASE];
if (wanted) await children[wanted]();
else tests();

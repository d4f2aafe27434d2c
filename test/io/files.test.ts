import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import {
  readFileChecked,
  readSafetensorsFile,
  recoverFolder,
  writeCheckpointFolder,
  writeFileAtomic,
  writeSafetensorsFile,
} from '../../src/io/files.ts';
import { parseSafetensors, serializeSafetensors, type HostTensor } from '../../src/io/safetensors.ts';

const modelOf = (generation: number, elements: number): [string, HostTensor][] => [
  ['weight', { shape: [elements], dtype: 'f32', data: new Float32Array(elements).fill(generation) }],
];

/** Writes checkpoint number `generation`; odd ones hold `odd.txt`, even ones remove it. */
function writeGeneration(dir: string, generation: number, elements = 4): void {
  writeCheckpointFolder(dir, {
    'config.json': JSON.stringify({ generation }),
    'model.safetensors': serializeSafetensors(modelOf(generation, elements)),
    'odd.txt': generation % 2 ? String(generation) : null,
  });
}

/** The number of the checkpoint in `dir` after recovery; throws if it is not one whole checkpoint. */
function readGeneration(dir: string): number {
  recoverFolder(dir);
  const { generation } = JSON.parse(fs.readFileSync(join(dir, 'config.json'), 'utf8'));
  const { data } = readSafetensorsFile(join(dir, 'model.safetensors')).tensors.get('weight')!;
  if (data.some((value) => value !== generation)) throw new Error(`weights are not those of ${generation}`);
  const odd = join(dir, 'odd.txt');
  const left = fs.existsSync(odd) ? fs.readFileSync(odd, 'utf8') : undefined;
  if (left !== (generation % 2 ? String(generation) : undefined)) throw new Error(`odd.txt holds ${left}`);
  return generation;
}

function main(): void {
  const folders: string[] = [];
  const temporaryFolder = () => {
    folders.push(fs.mkdtempSync(join(tmpdir(), 'spanwise-io-')));
    return folders[folders.length - 1];
  };
  test.onFinish(() => folders.forEach((folder) => fs.rmSync(folder, { recursive: true, force: true })));

  const messageOf = (action: () => unknown): string => {
    try {
      action();
    } catch (error) {
      if (error instanceof InputError) return error.message;
      throw error;
    }
    return 'no error';
  };

  test('safetensors files: written, read in ranges, the same as from memory', (t) => {
    const dir = temporaryFolder();
    const path = join(dir, 'm.safetensors');
    const { tensors, metadata } = readSafetensorsFile('test/fixtures/safetensors/stored.safetensors');
    writeSafetensorsFile(path, tensors, metadata);
    t.ok(fs.readFileSync(path).equals(fs.readFileSync('test/fixtures/safetensors/widened.safetensors')));
    const fromMemory = parseSafetensors(readFileChecked(path, 'model'), path);
    const fromRanges = readSafetensorsFile(path);
    t.deepEqual(fromRanges.metadata, fromMemory.metadata);
    const bytesAgain = (tensors: Map<string, HostTensor>) => Buffer.from(serializeSafetensors(tensors));
    t.ok(bytesAgain(fromRanges.tensors).equals(bytesAgain(fromMemory.tensors)), 'the same tensors');
    t.deepEqual(fs.readdirSync(dir), ['m.safetensors'], 'no temporary file is left');
    t.end();
  });

  test('500 damaged files: a whole parse or one line of InputError, from memory and in ranges alike', (t) => {
    const original = fs.readFileSync('test/fixtures/safetensors/stored.safetensors');
    const path = join(temporaryFolder(), 'damaged.safetensors');
    const headerBytes = Number(original.readBigUInt64LE(0)) + 8;
    let state = 12345;
    const random = (n: number) => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) % n;
    const outcome = (action: () => { tensors: Map<string, HostTensor> }): string => {
      try {
        return Buffer.from(serializeSafetensors(action().tensors)).toString('latin1');
      } catch (error) {
        if (!(error instanceof InputError)) return `not an InputError: ${error}`;
        return /[\r\n\u2028\u2029]/.test(error.message) ? 'more than one line' : `refused ${error.message}`;
      }
    };
    let refused = 0;
    const faults: string[] = [];
    for (let round = 0; round < 500; round++) {
      let bytes = new Uint8Array(original);
      if (round % 5 === 0) bytes = bytes.subarray(0, random(bytes.length));
      // Half of the flips hit the header, a tenth of those its length.
      for (let flips = round % 5; flips > 0; flips--)
        bytes[random([bytes.length, headerBytes][random(2)] - (random(10) ? 0 : headerBytes - 8))] ^=
          1 << random(8);
      const result = outcome(() => parseSafetensors(bytes, path));
      fs.writeFileSync(path, bytes);
      const same = outcome(() => readSafetensorsFile(path)) === result;
      if (result.startsWith('refused')) refused++;
      if (
        !same ||
        /^(not an|more than)/.test(result) ||
        (result.startsWith('refused') && !result.includes(path))
      )
        faults.push(`round ${round}: ${result}`);
    }
    t.deepEqual(faults, []);
    t.ok(refused > 250 && refused < 500, `${refused} of 500 are refused`);
    t.end();
  });

  test('paths that cannot be read or written are named', (t) => {
    const dir = temporaryFolder();
    const file = join(dir, 'file');
    fs.writeFileSync(file, 'abc');
    t.equal(Buffer.from(readFileChecked(file, 'data')).toString(), 'abc');
    const missing = join(dir, 'none', 'x');
    t.equal(
      messageOf(() => readFileChecked(missing, 'dev data')),
      `dev data ${missing}: no such file or folder`,
    );
    t.equal(
      messageOf(() => readFileChecked(dir, 'data')),
      `data ${dir}: is a folder, not a file`,
    );
    t.equal(
      messageOf(() => readSafetensorsFile(missing)),
      `${missing}: no such file or folder`,
    );
    t.equal(
      messageOf(() => readSafetensorsFile(dir)),
      `${dir}: is a folder, not a file`,
    );
    t.equal(
      messageOf(() => readSafetensorsFile(file)),
      `${file}: 3 bytes are too short for a safetensors file`,
    );
    t.equal(
      messageOf(() => readSafetensorsFile('/dev/null')),
      '/dev/null: not a regular file',
    );
    t.equal(
      messageOf(() => writeFileAtomic(missing, '')),
      `${missing}: no such file or folder`,
    );
    t.equal(
      messageOf(() => writeFileAtomic(dir, '')),
      `${dir}: is a folder, not a file`,
    );
    t.equal(
      messageOf(() => writeCheckpointFolder(file, { a: '' })),
      `${file}: is a file, not a folder`,
    );
    for (const name of ['', '.', '..', '../a', 'a/b', '.checkpoint', 'a.removed'])
      t.match(
        messageOf(() => writeCheckpointFolder(dir, { [name]: '' })),
        /cannot name a file of a checkpoint/,
      );
    t.deepEqual(fs.readdirSync(dir), ['file'], 'nothing is left behind');
    t.end();
  });

  /** That a disk is full, and where. */
  const told = (path: string): RegExp => new RegExp(`^Error: ${path}: no space left on device$`);

  test('writeFileAtomic: text, bytes, pieces, links; the old content survives a failure', (t) => {
    const dir = temporaryFolder();
    const path = join(dir, 'a');
    writeFileAtomic(path, 'naïve');
    t.equal(fs.readFileSync(path, 'utf8'), 'naïve');
    writeFileAtomic(path, [new Uint8Array([1, 2]), new Uint8Array(0), new Uint8Array([3])]);
    t.deepEqual([...fs.readFileSync(path)], [1, 2, 3]);
    fs.symlinkSync('a', join(dir, 'link'));
    writeFileAtomic(join(dir, 'link'), 'through');
    t.equal(fs.readFileSync(path, 'utf8'), 'through', 'a link is followed');
    t.ok(fs.lstatSync(join(dir, 'link')).isSymbolicLink(), 'and stays a link');
    const crash = failAfter(1, 'half');
    t.throws(() => writeFileAtomic(path, 'never complete'), told(path));
    crash.restore();
    t.equal(fs.readFileSync(path, 'utf8'), 'through');
    t.deepEqual(fs.readdirSync(dir).sort(), ['a', 'link'], 'the temporary file is removed');
    t.end();
  });

  test('a writer cut short at every single step leaves one whole checkpoint', (t) => {
    const dir = join(temporaryFolder(), 'run');
    writeGeneration(dir, 0);
    fs.writeFileSync(join(dir, 'train.log'), 'kept');
    const before = new Set<number>();
    const copy = `${dir}-copy`;
    const faults: string[] = [];
    let cutRecoveries = 0;
    let step = 0;
    for (let finished = false, generation = 0; !finished; step++) {
      const crash = failAfter(step, 'kill');
      try {
        writeGeneration(dir, generation + 1);
        finished = true;
      } catch {
        // The file system is as a kill at this step leaves it.
      }
      crash.restore();
      // Recovery, itself cut short at each of its steps before it may finish.
      for (let inner = 0; ; inner++) {
        const cut = failAfter(inner, 'kill');
        let done = false;
        try {
          recoverFolder(dir);
          done = true;
        } catch {
          cutRecoveries++;
        }
        cut.restore();
        fs.rmSync(copy, { recursive: true, force: true });
        fs.cpSync(dir, copy, { recursive: true });
        try {
          const found = readGeneration(copy);
          if (found !== generation && found !== generation + 1) faults.push(`step ${step}: ${found}`);
          if (fs.readFileSync(join(copy, 'train.log'), 'utf8') !== 'kept')
            faults.push(`step ${step}: the log`);
        } catch (error) {
          faults.push(`step ${step}, recovery step ${inner}: ${error}`);
        }
        if (done) break;
      }
      before.add(readGeneration(dir) - generation);
      generation = readGeneration(dir);
    }
    t.deepEqual(faults, []);
    t.ok(step > 20 && cutRecoveries > 10, `${step} steps of writing, ${cutRecoveries} of recovery`);
    t.deepEqual([...before].sort(), [0, 1], 'some leave the old checkpoint, some the new one');
    t.deepEqual(
      fs.readdirSync(dir).filter((name) => name.startsWith('.')),
      [],
      'nothing hidden is left',
    );
    t.end();
  });

  test('the next writer takes over a folder cut short at any step, with no reader in between', (t) => {
    const dir = join(temporaryFolder(), 'run');
    const found: number[] = [];
    for (let step = 0, finished = false; !finished; step++) {
      const crash = failAfter(step, 'kill');
      try {
        writeGeneration(dir, 1);
        finished = true;
      } catch {
        // As above.
      }
      crash.restore();
      writeGeneration(dir, 2);
      found.push(readGeneration(dir));
    }
    t.ok(found.length > 20 && found.every((generation) => generation === 2), `${found.length} steps`);
    t.end();
  });

  test('a failure (a full disk) keeps the old checkpoint and frees the space', (t) => {
    const dir = temporaryFolder();
    writeGeneration(dir, 1);
    const crash = failAfter(4, 'half');
    t.throws(() => writeGeneration(dir, 2), told(dir));
    crash.restore();
    t.equal(readGeneration(dir), 1);
    t.deepEqual(fs.readdirSync(dir).sort(), ['config.json', 'model.safetensors', 'odd.txt']);
    t.end();
  });

  test('a process killed while it rewrites a checkpoint leaves a readable one', async (t) => {
    const dir = join(temporaryFolder(), 'run');
    writeGeneration(dir, 0, 50_000);
    let last = 0;
    for (const milliseconds of [3, 11, 26, 47, 80]) {
      const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'rewrite', dir, String(last)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = new Promise((done) => child.on('close', (_code, signal) => done(signal)));
      await new Promise((started) => child.stdout.once('data', started));
      await new Promise((waited) => setTimeout(waited, milliseconds));
      child.kill('SIGKILL');
      t.equal(await ended, 'SIGKILL', 'the child was still writing');
      const generation = readGeneration(dir);
      t.ok(generation >= last, `after ${milliseconds} ms: checkpoint ${generation}`);
      last = generation;
    }
    t.ok(last > 0, 'checkpoints were written');
    t.end();
  });
}

/**
 * Lets `steps` calls that change the file system pass. `kill`: from then on every such call throws and does nothing, which
 * leaves the disk as a kill at that moment would. `half`: the next write writes half and fails as on a full disk.
 */
function failAfter(steps: number, how: 'kill' | 'half'): { restore(): void } {
  const names = [
    'mkdirSync',
    'openSync',
    'writeSync',
    'fsyncSync',
    'renameSync',
    'unlinkSync',
    'rmSync',
    'rmdirSync',
  ] as const;
  const table = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = names.map((name) => [name, table[name]] as const);
  let left = steps;
  let failed = false;
  for (const [name, original] of originals)
    table[name] = (...args) => {
      if (left-- > 0) return original(...args);
      if (how === 'half') {
        if (name !== 'writeSync' || failed) return original(...args);
        failed = true;
        const [file, bytes] = args as [number, Uint8Array];
        original(file, bytes, 0, bytes.length >> 1);
        const words = 'ENOSPC: no space left on device, write';
        throw Object.assign(new Error(words), { code: 'ENOSPC', syscall: 'write' });
      }
      throw new Error(`killed before ${name}`);
    };
  syncBuiltinESMExports();
  return {
    restore() {
      for (const [name, original] of originals) table[name] = original;
      syncBuiltinESMExports();
    },
  };
}

/** The child of the kill test: rewrites the checkpoint in `dir` until it is killed. */
function rewriteForever(dir: string, from: number): never {
  for (let generation = from + 1; ; generation++) {
    writeGeneration(dir, generation, 50_000);
    if (generation === from + 1) fs.writeSync(1, 'started\n');
  }
}

if (process.argv[2] === 'rewrite') rewriteForever(process.argv[3], Number(process.argv[4]));
else main();

/** `bench kills`: a training is killed again and again at random moments, and gone on with. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../src/cli/package-root.ts';
import { stream } from '../src/nn/random.ts';
import { makeDocument, onDevice, ownOptions, type Bench } from './harness.ts';
import { firstSentences, tinyStsn } from './soak.model.ts';

const KILLS = 50;
const SEED = 1;
/** Three epochs of five steps, each saved. */
const TRAINED = 20;
const SCORED = 6;
const RECIPE = { epochs: 3, batch: 4, lr: 3e-3, seed: 7, negativeSpans: 20 };

/** What a training does, one after the other or in turn: Node and the device, the first step's pipelines, steps, saving, scoring. */
const phases = ['start', 'compile', 'step', 'save', 'evaluate'] as const;
type Phase = (typeof phases)[number];

/** What a child told: its phases with milliseconds since it was started. */
type Told = { phase: Phase; ms: number }[];

/** Kill in the n-th (from 1) of a phase, so many milliseconds after it began. */
interface Moment {
  phase: Phase;
  n: number;
  after: number;
}

/** Trains in a child process. Returns what it told; `killed` where it did not end by itself. Errors: it failed. */
function train(out: string, options: string, moment?: Moment): Promise<{ told: Told; killed: boolean }> {
  const script = join(packageRoot(), 'bench', 'kills.side.mjs');
  const child = spawn(
    process.execPath,
    [script, join(packageRoot(), 'dist', 'spanwise-node.js'), out, options],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const started = performance.now();
  const told: Told = [];
  let [rest, said, seen] = ['', '', 0];
  let timer: NodeJS.Timeout | undefined;
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n');
    rest = lines.pop()!;
    for (const phase of lines as Phase[]) {
      told.push({ phase, ms: performance.now() - started });
      if (phase === moment?.phase && ++seen === moment.n)
        timer = setTimeout(() => child.kill('SIGKILL'), moment.after);
    }
  });
  return new Promise((resolve, reject) =>
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      if (signal === 'SIGKILL' || code === 0) resolve({ told, killed: signal === 'SIGKILL' });
      else reject(new Error(`bench kills: a training ended with ${String(signal ?? code)}: ${said}`));
    }),
  );
}

/** Milliseconds of a phase of a whole run, each time that it was entered. */
const lengths = (told: Told, phase: Phase): number[] =>
  told.flatMap((one, i) => (one.phase === phase && told[i + 1] ? [told[i + 1].ms - one.ms] : []));

/** What of a finished run is of its times: seconds of epochs, which are in the log, and with their digits its length. */
const timed = /"seconds":[^,}]+|"logBytes":\d+/g;

/** The hash of what a finished run leaves: names and bytes, but for what is of its times, and temporary files of a kill. */
function hashOf(folder: string): string {
  const hash = createHash('sha256');
  const files = (
    readdirSync(folder, { recursive: true, withFileTypes: true }) as {
      parentPath: string;
      name: string;
      isFile(): boolean;
    }[]
  )
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.tmp'))
    .map((entry) => join(entry.parentPath, entry.name));
  for (const file of files.sort()) {
    const bytes = readFileSync(file);
    hash.update(file.slice(folder.length)).update('\0');
    hash.update(/\.jsonl?$/.test(file) ? bytes.toString().replace(timed, '') : bytes);
  }
  return hash.digest('hex');
}

export const killsBench: Bench = {
  doc: 'a training killed at fifty random moments and gone on with: the bytes are those of one that was let be',
  async run({ args, log }) {
    const count = ownOptions('kills', args, { count: { value: 'N', doc: '' } }).integer('count', KILLS, 1);
    const { sentences } = firstSentences('kills', TRAINED + SCORED);
    const options = JSON.stringify({
      ...{ train: sentences.slice(0, TRAINED), dev: sentences.slice(TRAINED) },
      ...{ config: tinyStsn, recipe: RECIPE },
    });
    const info = await onDevice((runtime) => Promise.resolve(runtime.info));
    const parent = mkdtempSync(join(tmpdir(), 'spanwise-kills-'));
    try {
      const whole = join(parent, 'whole');
      const { told: undisturbed } = await train(whole, options);
      const expected = hashOf(whole);
      const random = stream(SEED);
      const kills: (Moment & { run: number; fell: Phase })[] = [];
      const hashes: string[] = [];
      for (let [run, isOver] = [1, false]; !isOver;) {
        const isLast = kills.length === count;
        const phase = phases[random.integer(phases.length)];
        const each = lengths(undisturbed, phase);
        const n = 1 + random.integer(each.length);
        const moment = { phase, n, after: each[n - 1] * random.uniform() };
        log(`${kills.length} of ${count} kills, run ${run}`);
        const out = join(parent, String(run));
        const { told, killed } = await train(out, options, isLast ? undefined : moment);
        if (killed) kills.push({ run, ...moment, fell: told.at(-1)!.phase });
        else {
          hashes.push(hashOf(out));
          run++;
          isOver = isLast;
        }
      }
      const rows = phases.map((phase) => {
        const each = lengths(undisturbed, phase);
        const [times, ms] = [each.length, each.reduce((sum, one) => sum + one, 0)];
        return { phase, kills: kills.filter(({ fell }) => fell === phase).length, times, ms };
      });
      const same = hashes.filter((hash) => hash === expected).length;
      return makeDocument(
        'kills',
        { info },
        rows,
        [
          {
            claim: 'every run that was killed and gone on with leaves the bytes of one that was let be',
            holds: hashes.length > 0 && same === hashes.length,
            measured: `${kills.length} kills, ${same} of ${hashes.length} runs, ${expected.slice(0, 16)}`,
          },
          {
            claim: 'kills fell into every phase',
            holds: rows.every((row) => row.kills > 0),
            measured: rows.map((row) => `${row.phase} ${row.kills}`).join(', '),
          },
        ],
        { kills, runs: hashes.length, seed: SEED, sha256: expected },
      );
    } finally {
      rmSync(parent, { recursive: true, force: true });
    }
  },
};

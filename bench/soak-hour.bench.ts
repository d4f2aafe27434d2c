/** `bench soak-hour`: trainings into folders, and extraction by what was trained, for an hour on one runtime. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel, type Runtime } from '../src/node.ts';
import { joinWords } from '../src/tasks/extraction.ts';
import { stsn } from '../src/tasks/spans/stsn.ts';
import { makeDocument, onDevice, ownOptions, type Bench } from './harness.ts';
import { constant, flat, flatProcess, processMemory, some, type ProcessMemory } from './process-memory.ts';
import { firstSentences, planTiny } from './soak.model.ts';
import { trainInto } from './training.ts';

const MINUTES = 60;
/** A round trains ten steps on the first sentences, and reads them all. */
const TRAINED = 20;
const READ = 100;
const EPOCHS = 2;
const RATE = 5e-3;
const SETTLED = 0.1;
const SHOWN = 31;

interface Round extends ProcessMemory {
  minutes: number;
  round: number;
  steps: number;
  lines: number;
  liveBytes: number;
  pooledBytes: number;
}

/** Trains, loads what was trained, extracts, and gives everything back. */
async function roundOnce(
  runtime: Runtime,
  log: (line: string) => void,
): Promise<{ steps: number; lines: number }> {
  const corpus = firstSentences('soak-hour', READ);
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-soak-'));
  try {
    const train = { ...corpus, sentences: corpus.sentences.slice(0, TRAINED) };
    const { report } = await trainInto(runtime, planTiny(train, EPOCHS, RATE), folder, log);
    const model = await loadModel(runtime, folder, stsn);
    const results = await model.extract(corpus.sentences.map(({ tokens }) => joinWords(tokens)));
    model.release();
    return { steps: report.steps, lines: results.length };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export const soakHourBench: Bench = {
  doc: 'an hour of training and extraction in turn: live bytes and resident memory stay flat',
  run: ({ args, log }) => {
    const minutes = ownOptions('soak-hour', args, { minutes: { value: 'N', doc: '' } }).number(
      'minutes',
      MINUTES,
      0,
    );
    return onDevice(async (runtime) => {
      const started = performance.now();
      const rounds: Round[] = [];
      const passed = (): number => (performance.now() - started) / 60_000;
      let [steps, lines] = [0, 0];
      do {
        const done = await roundOnce(runtime, (line) =>
          log(`minute ${Math.floor(passed())} of ${minutes}, round ${rounds.length + 1}, ${line}`),
        );
        steps += done.steps;
        lines += done.lines;
        const { liveBytes, pooledBytes } = runtime.memory.report();
        rounds.push({
          ...{ minutes: passed(), round: rounds.length + 1, steps, lines, liveBytes, pooledBytes },
          ...processMemory(),
        });
      } while (passed() < minutes || rounds.length < 5);
      const settled = rounds.slice(Math.floor(SETTLED * rounds.length));
      const from = `from round ${settled[0].round}`;
      return makeDocument(
        'soak-hour',
        runtime,
        some(rounds, SHOWN).map((round) => ({ ...round })),
        [
          constant(
            'live bytes after each round',
            rounds.map(({ liveBytes }) => liveBytes),
          ),
          flat(
            `pooled bytes ${from}`,
            settled.map(({ pooledBytes }) => pooledBytes),
          ),
          ...flatProcess(from, settled),
        ],
        { minutes: passed(), rounds: rounds.length },
      );
    });
  },
};

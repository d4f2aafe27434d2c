/** What the tests of training share: folders that go away, and what is in those of finished runs. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Definition, TrainingInput, Types } from '../../src/tasks/definition.ts';
import { folderStorage } from '../../src/tasks/folder.ts';
import { trainModel, type RunOptions, type TrainingReport } from '../../src/tasks/training/run.ts';

const folders: string[] = [];
// Not tape's onFinish: called before the first test exists, with a wait between, it ends the run.
process.on('exit', () => folders.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** A new folder, removed at the end. */
export function temporaryFolder(): string {
  folders.push(mkdtempSync(join(tmpdir(), 'spanwise-train-')));
  return folders[folders.length - 1];
}

/** The files that a finished run must have in common with another of the same bytes, by name. */
export function finalFiles(out: string): Record<string, string> {
  const names = [
    'config.json',
    'model.safetensors',
    'vocab.txt',
    'tokenizer_config.json',
    'last/model.safetensors',
    'last/optimizer.safetensors',
    'curve.svg',
  ];
  const files = Object.fromEntries(
    names.map((name) => [
      name,
      existsSync(join(out, name)) ? readFileSync(join(out, name)).toString('base64') : 'missing',
    ]),
  );
  return { ...files, log: JSON.stringify(logOf(out)) };
}

/** Names of files that differ. */
export function differences(a: Record<string, string>, b: Record<string, string>): string[] {
  return Object.keys(a).filter((name) => a[name] !== b[name]);
}

/** The lines of `log.jsonl` without their times. */
export function logOf(out: string): Record<string, unknown>[] {
  return readFileSync(join(out, 'log.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => ({ ...(JSON.parse(line) as Record<string, unknown>), seconds: undefined }));
}

/** The message of the InputError that `action` ends in; any other outcome is told as such. */
export async function inputError(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    return `not an InputError: ${(error as Error).stack}`;
  }
  return 'no error';
}

/** What a test trains, where to and how. */
export interface TestRun<T extends Types> extends TrainingInput<T>, Omit<RunOptions<T>, 'storage'> {
  /** The folder. */
  out: string;
}

/** `trainModel` into a folder. */
export const trainRun = <T extends Types>(
  definition: Definition<T>,
  { out, resume, saveSeconds, patience, forecast, onEvent, signal, notes, evaluate, ...input }: TestRun<T>,
): Promise<TrainingReport<T['evaluation']>> =>
  trainModel(definition, input, {
    storage: folderStorage(out),
    ...{ resume, saveSeconds, patience, forecast, onEvent, signal, notes, evaluate },
  });

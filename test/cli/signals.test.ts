/** What befalls a process from outside: signals, a reader that goes away, no room, a folder that is taken away. */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { expectFailure, file, fixture, folder, modelWith, spanwise, start } from './run.ts';

const encoder = {
  ...{ vocab_size: 64, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 },
  max_position_embeddings: 64,
};
const config = file('config.json', JSON.stringify({ encoder, widthEmbeddingSize: 4, heads: 2, layers: 1 }));
const data = file(
  'train.json',
  JSON.stringify(
    Array.from({ length: 6 }, (_, i) => ({
      tokens: ['Ann', 'met', 'Bob', `n${i}`],
      entities: [
        { type: 'PER', start: 0, end: 1 },
        { type: 'PER', start: 2, end: 3 },
      ],
      relations: [{ type: 'met', head: 0, tail: 1 }],
    })),
  ),
);
const train = (out: string, epochs = 1000): string[] => [
  ...['train', '--model', 'stsn', '--data', data, '--out', out],
  ...['--epochs', String(epochs), '--batch', '2'],
];
const fresh = ['--config', config];

interface Ended {
  code: number | null;
  signal: string | null;
  err: string;
}

/** Acts once `epoch 1` is told; what the process ends in. */
function afterEpoch(child: ChildProcessWithoutNullStreams, act: () => void): Promise<Ended> {
  return new Promise((resolve) => {
    let err = '';
    let acted = false;
    child.stdout.resume();
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      err += chunk;
      if (acted || !/^epoch /m.test(err)) return;
      acted = true;
      act();
    });
    const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, err });
    });
  });
}

const epochOf = (out: string): number =>
  (JSON.parse(readFileSync(join(out, 'last/trainer.json'), 'utf8')) as { epoch: number }).epoch;

test('SIGINT and SIGTERM: what was done is saved', async (t) => {
  const out = join(folder, 'stopped');
  let args = [...train(out), ...fresh];
  let before = 0;
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    const child = start(args);
    const ended = await afterEpoch(child, () => child.kill(signal));
    t.deepEqual([ended.code, ended.signal], [status, null], `${signal}: ${ended.err.slice(-300)}`);
    t.match(ended.err, /spanwise: stopping after this step; once more to stop at once\n/);
    const less = args.includes('--config') ? ', without --config,' : '';
    const last = `spanwise: stopped; what was done is saved: the same command with --resume${less} goes on\n`;
    t.equal(ended.err.slice(-last.length), last);
    t.ok(epochOf(out) > before, `epoch ${epochOf(out)}`);
    t.notOk(existsSync(join(out, 'lock.json')), 'the folder is free');
    before = epochOf(out);
    args = [...train(out), '--resume'];
  }
});

test('a reader that goes away', async (t) => {
  const out = join(folder, 'unread');
  const child = start([...train(out, 2), ...fresh]);
  child.stdout.destroy();
  const ended = await afterEpoch(child, () => undefined);
  t.deepEqual([ended.code, ended.signal], [0, null], ended.err.slice(-300));
  t.equal(epochOf(out), 2, 'the training ran to its end');
});

test('no room left: one line, and what was saved before stays', async (t) => {
  const out = join(folder, 'full');
  t.equal((await spanwise([...train(out, 1), ...fresh])).status, 0);
  const before = readFileSync(join(out, 'last/model.safetensors'));
  // No file may grow past half a KiB (in blocks of 512 bytes).
  const command = ['bin/spanwise.mjs', ...train(out, 3), '--resume', '--quiet'];
  const child = spawn('sh', [
    ...['-c', 'trap "" XFSZ; ulimit -f 1; exec "$0" "$@"', process.execPath],
    ...command,
  ]);
  const { code, err } = await afterEpoch(child, () => undefined);
  t.equal(code, 1);
  t.match(err, /^spanwise: .*(EFBIG|file too large)[^\n]*\n$/i);
  t.ok(readFileSync(join(out, 'last/model.safetensors')).equals(before));
  t.equal((await spanwise([...train(out, 2), '--resume', '--quiet'])).status, 0, 'with room it goes on');
});

test('the folder is taken away', async (t) => {
  const out = join(folder, 'gone');
  const child = start([...train(out), ...fresh]);
  const { code, err } = await afterEpoch(child, () => renameSync(out, join(folder, 'away')));
  t.equal(code, 2);
  t.match(err.slice(-200), /\nspanwise: [^\n]*gone\/log\.jsonl: no such file or folder\n$/);
  t.notOk(existsSync(out), 'no folder is made in its place');
});

test('names that steer a terminal', async (t) => {
  const bad = JSON.parse(readFileSync(`${fixture}/both/config.json`, 'utf8')) as Record<string, unknown>;
  const key = `\x1b]0;owned\x07\u202e${'y'.repeat(5000)}`;
  const model = modelWith('escapes', 'config.json', JSON.stringify({ ...bad, [key]: 1 }));
  const outcome = await spanwise(['extract', '--model', model], { input: 'x\n' });
  expectFailure(t, outcome, 2, /unknown key "\\x1b\]0;owned\\x07\\u202eyyy.*… \(cut\)\n$/);
  t.ok(outcome.stderr.length < 1100);
});

/** `spanwise train` on devices that are lost: it goes on once, then ends with what was saved. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'tape';
import { file, fixture, folder, spanwise } from './run.ts';

test('a device lost for the second time', async (t) => {
  const { Runtime } = (await import(
    pathToFileURL('dist/spanwise-node.js').href
  )) as typeof import('../../src/node.ts');
  const { execute } = Runtime.prototype;
  let lost = 0;
  // Before the first operation of the first step, which comes after the first save.
  Runtime.prototype.execute = function (...given) {
    this.device.destroy();
    lost++;
    return execute.apply(this, given);
  };
  t.teardown(() => void (Runtime.prototype.execute = execute));
  const out = join(folder, 'lost');
  const encoder = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 16 };
  const config = file('tiny.json', JSON.stringify({ encoder, layers: 1, heads: 2 }));
  const args = ['train', '--model', 'stsn', '--data', `${fixture}/batch.json`, '--config', config];
  const { status, stdout, stderr } = await spanwise([...args, '--epochs', '1', '--quiet', '--out', out]);
  t.equal(status, 1);
  t.ok(lost > 1, `${lost} operations`);
  const lines = stderr.trimEnd().split('\n');
  t.equal(lines.length, 2, stderr);
  t.match(
    lines[0],
    /^spanwise: the device was lost .*; the run went on from what was saved last on a new device$/,
  );
  t.match(
    lines[1],
    /^spanwise: the device was lost .*, for the second time; .*lost keeps what was saved, and the run can be resumed$/,
  );
  const notes = stdout.trimEnd().split('\n');
  t.ok(notes.length > 0 && notes.every((line) => line.startsWith('note: ')), stdout);
  t.equal(new Set(notes).size, notes.length, 'each note once');
  t.ok(readdirSync(join(out, 'last')).includes('trainer.json'), 'what was saved is there');
});

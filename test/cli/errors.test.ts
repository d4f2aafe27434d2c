import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { serializeSafetensors, type HostTensor } from '../../src/io/safetensors.ts';
import { expectFailure, file, fixture, folder, launched, modelWith, spanwise } from './run.ts';

const model = `${fixture}/both`;
const config = JSON.parse(readFileSync(`${model}/config.json`, 'utf8')) as Record<string, unknown>;
const weights = readFileSync(`${model}/model.safetensors`);
const out = join(folder, 'never-written');

const floats = (shape: number[]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: new Float32Array(shape.reduce((n, d) => n * d, 1)),
});
const ints = (shape: number[], ...values: number[]): HostTensor => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from(values),
});
const tensors = (name: string, entries: Record<string, HostTensor>): string =>
  file(name, serializeSafetensors(Object.entries(entries)));
const corpus = (name: string, ...rows: unknown[]): string => file(name, JSON.stringify(rows));
const evaluate = (data: string): string[] => ['eval', '--model', model, '--data', data];
const trace = (batch: string): string[] => ['trace', '--model', model, '--batch', batch, '--out', out];
const run = (kernel: string, input: string, ...more: string[]): string[] => [
  'kernel',
  'run',
  kernel,
  '--in',
  input,
  '--out',
  out,
  ...more,
];

const pair = [
  { type: 'PER', start: 0, end: 1 },
  { type: 'LOC', start: 1, end: 2 },
];
const spanInputs = (spans: HostTensor): Record<string, HostTensor> => ({
  x: floats([1, 4, 2]),
  width_embedding: floats([3, 2]),
  spans,
});
const linearInputs = { x: floats([2, 3]), weight: floats([4, 3]) };

const failures: [name: string, args: string[], line: RegExp, input?: string | Uint8Array][] = [
  ['unknown command', ['frob'], /unknown command "frob"/],
  ['half a command', ['kernel'], /kernel: .*list, show, run/],
  ['unknown flag', ['eval', '--modle', model], /eval: unknown option '--modle'/],
  ['surplus argument', ['doctor', 'please'], /unexpected argument "please"/],
  ['missing option', ['eval', '--model', model], /--data F is missing/],
  ['missing value', ['eval', '--model'], /'--model <value>' argument missing/],
  [
    'value with a dash',
    ['extract', '--model', model, '--overlap', '-1'],
    /option '--overlap' lacks its value; one that begins with a dash: --overlap=-1 \(see/,
  ],
  ['empty value', ['eval', '--model', '', '--data', 'x'], /--model is empty/],
  [
    'a number that is none',
    ['trace', '--model', model, '--batch', 'x', '--out', out, '--lr', 'fast'],
    /--lr/,
  ],
  ['missing file', evaluate(join(folder, 'nowhere.json')), /nowhere\.json: .*no such file/],
  ['missing model', ['eval', '--model', join(folder, 'nowhere'), '--data', 'x'], /nowhere: no such model/],
  [
    'an output folder that is not there',
    ['trace', '--model', model, '--batch', `${fixture}/batch.json`, '--out', join(folder, 'no', 'out')],
    /there is no folder/,
  ],
  ['empty corpus', evaluate(file('empty.json', '[]')), /empty\.json: holds no sentence/],
  [
    'span out of range',
    evaluate(corpus('span.json', { tokens: ['a'], entities: [{ type: 'PER', start: 0, end: 2 }] })),
    /span\.json: row 1: entities\[0\]\.end is 2/,
  ],
  [
    'relation index out of range',
    evaluate(
      corpus(
        'relation.json',
        { tokens: ['a'], entities: [] },
        { tokens: ['a', 'b'], entities: pair, relations: [{ type: 'Founded', head: 0, tail: 2 }] },
      ),
    ),
    /relation\.json: row 2: relations\[0\]\.tail is 2/,
  ],
  [
    'unknown entity label',
    trace(corpus('label.json', { tokens: ['a'], entities: [{ type: 'SHIP', start: 0, end: 1 }] })),
    /label\.json: row 1: entities\[0\]\.type is "SHIP"/,
  ],
  [
    'unknown relation label',
    trace(
      corpus('kin.json', {
        tokens: ['a', 'b'],
        entities: pair,
        relations: [{ type: 'Kin_Of', head: 0, tail: 1 }],
      }),
    ),
    /kin\.json: row 1: relations\[0\]\.type is "Kin_Of"/,
  ],
  [
    'several bad rows at once',
    evaluate(
      corpus(
        'several.json',
        { tokens: ['a'], entities: [{ type: 'PER', start: 0, end: 2 }] },
        { tokens: ['a', 'b'], entities: pair },
        { tokens: ['a', 'b'], entities: pair, relations: [{ type: 'Founded', head: 1, tail: 1 }] },
      ),
    ),
    /several\.json: 2 bad rows \(--on-bad skip .*\): row 1: entities\[0\]\.end is 2.*; row 3: relations\[0\] has entity 1 as both/,
  ],
  [
    'words that no window holds, all of them',
    evaluate(
      corpus(
        'wide.json',
        ...[2, 70, 3, 80].map((n) => ({ tokens: ['2'.repeat(n), 'rain'], entities: pair })),
      ),
    ),
    /wide\.json: 2 bad rows .*: row 2: 1 word makes 72 word pieces.*; row 4: 1 word makes 82 word pieces/,
  ],
  [
    'a format that there is not',
    ['convert', '--to', 'connl', '--in', 'x'],
    /there is no format "connl" \(spert, /,
  ],
  ['a folder that is needed', ['convert', '--to', 'brat', '--in', 'x'], /--out must name a folder/],
  [
    'offsets that are no counting',
    [...evaluate('x'), '--offsets', 'bytes'],
    /--offsets must be one of utf16, codepoints, inclusive, got "bytes"/,
  ],
  [
    'sentence of 0 words',
    evaluate(corpus('none.json', { tokens: [], entities: [] })),
    /none\.json: holds no sentence \(sentences without a word, left out: 1\)/,
  ],
  [
    'config key misspelt',
    [
      'eval',
      '--model',
      modelWith('misspelt', 'config.json', JSON.stringify({ ...config, maxSpanWidht: 4 })),
      '--data',
      'x',
    ],
    /misspelt\/config\.json: unknown key "maxSpanWidht"/,
  ],
  [
    'maxSpanWidth 0',
    [
      'extract',
      '--model',
      modelWith('narrow', 'config.json', JSON.stringify({ ...config, maxSpanWidth: 0 })),
      '--in',
      'x',
    ],
    /narrow\/config\.json: "maxSpanWidth" .* it is 0/,
  ],
  [
    'text that is not UTF-8',
    ['extract', '--model', model, '--in', file('latin1.txt', Buffer.from('Caf\xe9 Norte\n', 'latin1'))],
    /latin1\.txt: not UTF-8 at byte 3/,
  ],
  [
    'corrupt safetensors',
    run('linear', file('corrupt.safetensors', 'what is this?')),
    /corrupt\.safetensors: /,
  ],
  [
    'truncated safetensors',
    run('linear', file('cut.safetensors', weights.subarray(0, 900))),
    /cut\.safetensors: /,
  ],
  ['unknown kernel', run('linaer', 'x'), /there is no kernel "linaer"/],
  [
    'unknown tensor',
    run('linear', tensors('unknown', { ...linearInputs, scale: floats([1]) })),
    /unknown: tensor "scale" is not an input/,
  ],
  [
    'a shape of an unknown input',
    ['kernel', 'show', 'linear', '--shapes', '{"x":[2,3],"weigth":[4,3]}'],
    /--shapes: tensor "weigth" is not an input \(linear takes x, weight, /,
  ],
  ['missing tensor', run('linear', tensors('missing', { x: floats([2, 3]) })), /tensor "weight" is missing/],
  [
    'floats for integers',
    run('span-representation', tensors('floats', spanInputs(floats([1, 3])))),
    /floats: tensor "spans" holds floats, not integers/,
  ],
  [
    'integers for floats',
    run('linear', tensors('integers', { ...linearInputs, x: ints([2, 3], 1, 2, 3, 4, 5, 6) })),
    /integers: tensor "x" holds integers, not floats/,
  ],
  [
    'unknown parameter',
    run('linear', tensors('linear', linearInputs), '--params', '{"act":1}'),
    /parameter "act"/,
  ],
  ['parameters that are not JSON', run('linear', 'x', '--params', '{act}'), /--params is not JSON/],
  ['--grad without a gradient', run('adamw', 'x', '--grad'), /adamw has no gradient/],
  [
    '--grad without the upstream gradient',
    run('linear', tensors('no-upstream', linearInputs), '--grad'),
    /tensor "grad_out" is missing/,
  ],
  [
    '--grad with one of another shape',
    run('linear', tensors('upstream', { ...linearInputs, grad_out: floats([4, 2]) }), '--grad'),
    /"grad_out" must have the shape \[2,4\] of out, got \[4,2\]/,
  ],
  [
    'a kernel given a span out of range',
    run('span-representation', tensors('far', spanInputs(ints([2, 3], 0, 0, 1, 0, 3, 5)))),
    /spans row 1/,
  ],
  [
    'a kernel given a span of width 0',
    run('span-representation', tensors('thin', spanInputs(ints([1, 3], 0, 2, 2)))),
    /spans row 0/,
  ],
  [
    'a kernel given maxWidth 0',
    run('span-enumerate', tensors('lengths', { lengths: ints([1], 3) }), '--params', '{"maxWidth":0}'),
    /span-enumerate: .*maxWidth/,
  ],
  ['--wgsl without shapes', ['kernel', 'show', 'linear', '--wgsl'], /--wgsl needs --shapes/],
  // These come after the device is open: the process must still end.
  [
    'a model whose weights are cut short',
    ['extract', '--model', modelWith('cut', 'model.safetensors', weights.subarray(0, weights.length - 8))],
    /cut\/model\.safetensors: /,
    'Rain\n',
  ],
  [
    'a word of 70 pieces',
    ['extract', '--model', model, '--on-bad', 'stop'],
    /standard input: line 2: 1 word makes 72 word pieces, more than the encoder's 64 positions/,
    `Rain\n${'2'.repeat(70)} rain\n`,
  ],
  [
    'standard input that is not UTF-8',
    ['extract', '--model', model],
    /standard input: not UTF-8 at byte 5/,
    Buffer.from('Rain \xff', 'latin1'),
  ],
];

for (const [name, args, line, input] of failures)
  test(`spanwise: ${name}`, async (t) => expectFailure(t, await spanwise(args, { input }), 2, line));

test('spanwise: no device is status 1', async (t) => {
  const file = join(folder, 'no-folder');
  writeFileSync(file, '');
  const env = { SPANWISE_DEVICE: 'software', XDG_CACHE_HOME: file, TMPDIR: file };
  const { status, stdout, stderr } = await launched(['doctor'], { env });
  t.equal(status, 1);
  t.equal(stdout, '');
  t.match(stderr, /^spanwise: (the software device|no WebGPU adapter)[^\n]*\n$/);
});

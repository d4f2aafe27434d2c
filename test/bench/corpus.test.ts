import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'tape';
import { describeCorpus, readSplits } from '../../bench/corpus.ts';

const sentence = { tokens: ['Port', 'Anselm', 'lies', 'north', '.'], entities: [], relations: [] };

test('splits of a corpus folder', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'spanwise-corpus-'));
  try {
    t.throws(() => readSplits(join(folder, 'absent')), /absent: no such folder/);
    t.throws(() => readSplits(folder), /no file is named train.json or \*_train.json/);
    writeFileSync(join(folder, 'reports_train.json'), JSON.stringify([sentence, sentence]));
    writeFileSync(join(folder, 'dev.json'), JSON.stringify([sentence]));
    mkdirSync(join(folder, 'other'));
    const { train, dev, test: tested } = readSplits(folder);
    t.deepEqual([train.sentences.length, dev?.sentences.length, tested], [2, 1, undefined]);
    t.equal(describeCorpus(train).file, join(folder, 'reports_train.json'));
    writeFileSync(join(folder, 'train.json'), '[]');
    t.throws(() => readSplits(folder), /several files end in train.json/);
  } finally {
    rmSync(folder, { recursive: true });
  }
  t.end();
});

test('the shipped corpus', (t) => {
  const { train, dev, test: tested } = readSplits();
  const described = describeCorpus(train);
  t.equal(described.file, join('corpora', 'expeditions', 'train.json'), 'no path of this machine');
  t.equal(described.sentences, 311);
  t.match(described.sha256, /^[0-9a-f]{64}$/);
  t.ok(dev && tested);
  t.end();
});

import test from 'tape';
import { configJson } from '../../src/models/config.ts';
import { hasGraph, labelsOf, parseLaiConfig } from '../../src/models/lai-config.ts';
import { tinyConfig } from '../tasks/lai/tiny.ts';

test('LAI-Net: defaults, and a configuration that survives its JSON', (t) => {
  const config = tinyConfig();
  const { views, graphLayers, filter, maxCandidates, visibility, markerVisibility, annotate, markers } =
    config;
  t.deepEqual(
    { views, graphLayers, filter, maxCandidates, visibility, markerVisibility, annotate, markers },
    {
      ...{ views: 2, graphLayers: 2, filter: true, maxCandidates: 220 },
      ...{ visibility: 'invisible', markerVisibility: 'pair', annotate: true },
      markers: {
        ...{ start: '[unused1]', end: '[unused2]', subjectStart: '[unused3]', subjectEnd: '[unused4]' },
      },
    },
  );
  t.deepEqual(parseLaiConfig(configJson('lai', config), 'again'), config);
  t.equal(tinyConfig({ markers: { end: '<e>' } }).markers.start, '[unused1]', 'each marker by itself');
  t.deepEqual(labelsOf(tinyConfig({ stage: 'relations' })), ['lives', 'spouse']);
  t.ok(hasGraph(config));
  t.notOk(hasGraph(tinyConfig({ graphLayers: 0 })));
  t.notOk(hasGraph(tinyConfig({ annotate: false })), 'no annotations, no second round');
  t.end();
});

test('LAI-Net: every mistake is one line that names the key', (t) => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ model: 'stsn' }, /"model" must be one of lai/],
    [{ stage: 'both' }, /"stage" must be one of entities, relations; it is "both"/],
    [{ stage: undefined }, /"stage" must be one of entities, relations; it is missing/],
    [{ symmetric: ['owns'] }, /"symmetric" may list relationTypes alone \(lives, spouse\); it is "owns"/],
    [{ annotations: { PER: ' ' } }, /config: annotations: "PER" must be a text; it is " "/],
    [{ annotations: ['person'] }, /"annotations" must/],
    [{ markers: { begin: '[unused1]' } }, /markers: unknown key "begin" \(known: start, end, subjectStart/],
    [{ markers: { start: 1 } }, /config: markers: "start" must be a text; it is 1/],
    [{ views: 3 }, /"views" 3 does not divide the graph's width 16/],
    [{ views: 64, stage: 'relations' }, /"views" 64 does not divide the graph's width 32/],
    [{ maxCandidates: 0 }, /"maxCandidates" must be an integer of at least 1/],
    [{ entityTypes: [] }, /"entityTypes" is empty/],
    [{ visibility: 'none' }, /"visibility" must be one of invisible, visible, full/],
    [{ spanWidth: 3 }, /unknown key "spanWidth"/],
  ];
  for (const [given, message] of wrong) t.throws(() => tinyConfig(given), message, String(message));
  t.doesNotThrow(() => tinyConfig({ views: 3, graphLayers: 0 }), 'views without a graph are unused');
  t.doesNotThrow(() => tinyConfig({ views: 32, stage: 'relations' }), 'relations are twice as wide');
  t.end();
});

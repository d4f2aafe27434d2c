/** What a step will take is what it takes. */
import test from 'tape';
import { newModel } from '../../../src/tasks/checkpoint.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { LogEvent } from '../../../src/tasks/training/curve.ts';
import { temporaryFolder, tinyRun, trainRun } from '../spans/tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime({ poison: false });

for (const precision of ['f32', 'mixed'] as const)
  test(`a forecast tells the FLOPs and the peak memory of the step, ${precision}`, async (t) => {
    // One batch an epoch: the longest is the one there is. Without dev data nothing else takes memory.
    const whole = { batch: 1000, epochs: 2, negativeSpans: 1e6, negativePairs: 1e6 };
    const events: LogEvent[] = [];
    const run = tinyRun(runtime, temporaryFolder(), whole);
    const { config, parameters } = run.model;
    parameters.release();
    const model = newModel(runtime, stsn, config, run.recipe, undefined, undefined, precision);
    const options = { ...run, model, dev: undefined, forecast: true };
    runtime.memory.resetPeak();
    const report = await trainRun(stsn, { ...options, onEvent: (event) => void events.push(event) });
    t.deepEqual(
      events.map(({ event }) => event),
      ['start', 'forecast', 'step', 'epoch', 'step', 'epoch'],
      'before the first step',
    );
    const forecast = events[1] as LogEvent & Record<'flops' | 'peakBytes' | 'parameters', number>;
    t.equal(forecast.flops, report.flops / report.steps);
    t.equal(forecast.parameters, options.model.parameters.count());
    t.equal(forecast.peakBytes, report.memory.peakBytes, 'to the byte');
    options.model.parameters.release();
  });

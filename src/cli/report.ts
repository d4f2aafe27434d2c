/** What a training run, or an extraction, cost, as text. */
import { totalmem } from 'node:os';
import type { DeviceInfo } from '../gpu/device.ts';
import type { Forecast } from '../tasks/training/forecast.ts';
import type { TrainingReport } from '../tasks/training/run.ts';
import { table } from './print.ts';

/** 1234567 → "1.23 M". */
export function quantity(value: number): string {
  const units: [number, string][] = [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ];
  const [scale, unit] = units.find(([size]) => value >= size) ?? [1, ''];
  return `${(value / scale).toFixed(scale === 1 ? 0 : 2)}${unit && ` ${unit}`}`;
}

/** Bytes in binary units. */
export function bytes(value: number): string {
  return value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MiB` : `${(value / 2 ** 10).toFixed(1)} KiB`;
}

/** What a training's steps will take, and a warning where that is more than the machine has. */
export function forecastText({ parameters, flops, peakBytes }: Forecast, { software }: DeviceInfo): string {
  const told =
    `${quantity(parameters)} parameters; a step on the longest batch takes ${quantity(flops)}FLOP and ` +
    `${bytes(peakBytes)} of memory`;
  // WebGPU tells nothing of a graphics card's memory; a software device has the machine's.
  const over = software && peakBytes > totalmem();
  return over ? `${told}: more than the ${bytes(totalmem())} of this machine; try a smaller --batch` : told;
}

/** What a training cost, by name: parameters, work of the mean forward pass and training step, rate, peak memory by label. */
export function costRows(parameters: number, report: TrainingReport): [string, string][] {
  const { forward, backward, optimizer } = report.step;
  const step = (key: 'flops' | 'macs' | 'dispatches') => forward[key] + backward[key] + optimizer[key];
  const rate = report.seconds > 0 ? report.flops / report.seconds / 1e9 : 0;
  return [
    ['parameters', quantity(parameters)],
    ['forward pass', `${quantity(forward.flops)}FLOP, ${quantity(forward.macs)} multiply-adds`],
    ['training step', `${quantity(step('flops'))}FLOP, ${quantity(step('macs'))} multiply-adds`],
    ['', `${step('dispatches')} dispatches, ${report.submitsPerStep} submit`],
    [
      'training',
      `${report.steps} steps in ${report.seconds.toFixed(1)} s, ${rate.toFixed(2)} GFLOP/s achieved`,
    ],
    ['peak memory', bytes(report.memory.peakBytes)],
    ...Object.entries(report.memory.peakByLabel)
      .filter(([, peak]) => peak > 0)
      .map(([label, peak]): [string, string] => [`  ${label}`, bytes(peak)]),
  ];
}

/** The cost report: the device and `costRows`. */
export function costReport(info: DeviceInfo, parameters: number, report: TrainingReport): string {
  const device = `${info.name} (${info.driver || info.vendor}${info.software ? ', software' : ''})`;
  return table([['device', device], ...costRows(parameters, report)]);
}

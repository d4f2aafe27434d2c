/** `spanwise verify`: does this machine's driver compute what the float64 references do? */
import { kernels } from '../../kernels/index.ts';
import { TOLERANCE, verifyKernel, type Verification } from '../ops/verify-kernel.ts';
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';

const digits = (error: number | null | undefined): string =>
  error === undefined ? '' : error === null ? 'NaN' : error.toExponential(1);

const HEADS = ['kernel', 'cases', 'forward', 'bound', 'backward', 'bound', 'ULP', 'worst element', ''];

/** A number of float32 that differs from its neighbours. */
const float = (x: number | null): string => (x === null ? 'NaN' : String(Number(x.toPrecision(9))));

function worstText({ worst, cases }: Verification): string {
  if (!worst) return '';
  const where = `${worst.tensor}[${worst.index.join(', ')}]${cases > 1 ? ` of case ${worst.case}` : ''}`;
  return worst.ulps === 0 ? 'exact' : `${where} ${float(worst.actual)}, expected ${float(worst.expected)}`;
}

const row = (result: Verification): string[] => [
  result.kernel,
  String(result.cases),
  ...[
    digits(result.forward),
    digits(result.forwardBound),
    digits(result.backward),
    digits(result.backwardBound),
  ],
  result.worst ? (result.worst.ulps?.toFixed(1) ?? 'NaN') : '',
  worstText(result),
  result.ok ? 'ok' : `WRONG${result.error ? `: ${result.error}` : ''}`,
];

export const verify: Command = {
  name: 'verify',
  summary: 'Compares every kernel on this device, forward and backward, with its float64 reference',
  options: { json },
  notes:
    `Relative errors beside what rounding as WGSL allows it may make of them (docs/accuracy.md); the farthest element in\n` +
    `units in the last place of its tensor's largest number. Exit status 1 where an error exceeds ${TOLERANCE} or its bound.`,
  run: (args) =>
    withDevice(
      () => undefined,
      async (runtime) => {
        const results: Verification[] = [];
        const progress = new Progress();
        for (const name of Object.keys(kernels)) {
          progress.show(`verify: ${name}`);
          const result = await verifyKernel(runtime, name);
          if (result) results.push(result);
        }
        progress.clear();
        const wrong = results.filter((result) => !result.ok);
        if (args.flag('json'))
          await printJson({
            device: runtime.info,
            tolerance: TOLERANCE,
            ok: wrong.length === 0,
            kernels: results,
          });
        else {
          await print(table([HEADS, ...results.map(row)]));
          await print(
            `\n${results.length - wrong.length} of ${results.length} kernels agree within ${TOLERANCE} on ${runtime.info.name}\n`,
          );
        }
        return wrong.length > 0 ? 1 : 0;
      },
    ),
};

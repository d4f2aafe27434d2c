/** `spanwise kernel show`: ports and parameters of a kernel, and for given shapes its plan and WGSL. No device. */
import { backwardRequest } from '../../kernels/backward-request.ts';
import { kernelNamed } from '../../kernels/index.ts';
import {
  checkParams,
  defaultCaps,
  type Kernel,
  type Params,
  type Plan,
  type Port,
} from '../../kernels/plan.ts';
import { wgslOf } from '../../kernels/wgsl.ts';
import { json, type Command } from './command.ts';
import { parseShapes, type GivenInputs } from './kernel-shapes.ts';
import { print, printJson, table } from './print.ts';

interface Plans {
  forward: Plan;
  backward?: Plan;
}

/** The plans at WebGPU's default limits: what every device can run. */
function plansOf(kernel: Kernel, { shapes, host }: GivenInputs, params: Params): Plans {
  const forward = kernel.plan({ shapes, params, caps: defaultCaps, host });
  if (!kernel.backward) return { forward };
  const outputs = Object.fromEntries(
    Object.entries(forward.outputs).map(([name, { shape }]) => [name, shape]),
  );
  const floats = Object.keys(shapes).filter((name) => !host[name]);
  const request = backwardRequest(
    kernel,
    { inputs: shapes, host, outputs, params },
    (name) => outputs[name],
    floats,
  );
  return {
    forward,
    backward: request.kernel.plan({ ...request, shapes: request.inputs, caps: defaultCaps }),
  };
}

const shadersOf = (plan: Plan): { shader: string; code: string }[] =>
  plan.dispatches.map((dispatch) => ({ shader: dispatch.shader.name, code: wgslOf(dispatch) }));

function portLines(ports: readonly Port[]): string {
  return table(
    ports.map((port) => [
      `  ${port.name}`,
      port.f16 ? `${port.dtype}|f16` : port.dtype,
      port.shape,
      [port.optional ? 'optional' : '', port.saved ? 'kept for the gradient' : ''].filter(Boolean).join(', '),
    ]),
  );
}

function planText(title: string, plan: Plan): string {
  const rows = plan.dispatches.map((d) => [
    `  ${d.shader.name}.${d.entryPoint}`,
    d.workgroups.join('x'),
    String(d.macs),
    String(d.flops),
    String(d.bytesRead),
    String(d.bytesWritten),
    Object.entries(d.constants)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  ]);
  const header = ['  shader', 'workgroups', 'macs', 'flops', 'bytes read', 'bytes written', 'constants'];
  const tensors = (specs: Plan['outputs']): string =>
    Object.entries(specs)
      .map(([name, { shape, dtype }]) => `${name} [${shape}]${dtype === 'f16' ? ' f16' : ''}`)
      .join(', ') || 'none';
  return `${title}\n${table([header, ...rows])}  outputs: ${tensors(plan.outputs)}; scratch: ${tensors(plan.scratch)}\n`;
}

export const kernelShow: Command = {
  name: 'kernel show',
  summary: 'Shows inputs, outputs and parameters of a kernel, and its plan for given shapes',
  positional: 'NAME',
  options: {
    shapes: {
      value: 'JSON',
      doc: 'shape of each float input ([2,8]), values of each integer input ("spans":[[0,0,1],[0,2,4]])',
    },
    params: { value: 'JSON', doc: 'parameters for the plan' },
    wgsl: { doc: 'also print the WGSL of every dispatch (needs --shapes)' },
    json,
  },
  notes:
    'Example: spanwise kernel show linear --shapes \'{"x":[2,8],"weight":[4,8]}\'\n' +
    "Plans are made for WebGPU's default limits; a device may get other variants.",
  async run(args) {
    const kernel = kernelNamed(args.positional);
    const params = args.json('params');
    checkParams(kernel, params);
    const given =
      args.optional('shapes') === undefined ? undefined : parseShapes(kernel, args.json('shapes'));
    if (!given && args.flag('wgsl')) args.fail('--wgsl needs --shapes: the WGSL depends on them');
    const plans = given && plansOf(kernel, given, params);
    const named = plans ? Object.entries<Plan>({ ...plans }) : [];
    const wgsl = args.flag('wgsl')
      ? Object.fromEntries(named.map(([pass, plan]) => [pass, shadersOf(plan)]))
      : undefined;
    if (args.flag('json')) {
      const { name, doc, inputs, outputs, backward } = kernel;
      const gradients = backward && { doc: backward.doc, inputs: backward.inputs, outputs: backward.outputs };
      const documents = named.map(([pass, { data, dispatches, ...plan }]) => [
        pass,
        {
          dispatches: dispatches.map((dispatch) => ({ ...dispatch, shader: dispatch.shader.name })),
          ...plan,
          data: Object.fromEntries(
            Object.entries<Int32Array>(data).map(([name, table]) => [name, [...table]]),
          ),
        },
      ]);
      await printJson({
        ...{ name, doc, inputs, outputs, params: kernel.params, backward: gradients ?? null },
        ...(plans ? { plans: Object.fromEntries(documents) } : {}),
        ...(wgsl ? { wgsl } : {}),
      });
      return;
    }
    const paramRows = kernel.params.map(({ name, doc, default: value }) => [
      `  ${name}`,
      value === undefined ? doc : `${doc} (default ${JSON.stringify(value)})`,
    ]);
    await print(`${kernel.name}: ${kernel.doc}\n\ninputs\n${portLines(kernel.inputs)}`);
    await print(`outputs\n${portLines(kernel.outputs)}`);
    if (paramRows.length > 0) await print(`parameters\n${table(paramRows)}`);
    await print(kernel.backward ? `gradient: ${kernel.backward.doc}\n` : 'no gradient\n');
    for (const [pass, plan] of named) await print(`\n${planText(pass, plan)}`);
    for (const [pass, shaders] of Object.entries(wgsl ?? {}))
      for (const { shader, code } of shaders) await print(`\n// ${pass}: ${shader}\n${code}\n`);
  },
};

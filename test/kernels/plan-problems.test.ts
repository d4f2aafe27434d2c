/** Every plan of the reference cases and of the sizes of a base model holds to what its device grants. */
import test from 'tape';
import { formCases, passPlans } from '../../bench/gpu-forms.cases.ts';
import { gateCaps } from '../../bench/gate.cases.ts';
import { kernels } from '../../kernels/index.ts';
import { defaultCaps } from '../../kernels/plan.ts';
import { softmax } from '../../kernels/softmax.ts';
import { planProblems } from './plan-problems.ts';

for (const [device, caps] of Object.entries(gateCaps))
  test(`plans of base models, ${device}: limits, bindings, types, extensions`, (t) => {
    for (const one of formCases(1))
      for (const { pass, plan } of passPlans(one, caps))
        t.deepEqual(planProblems(plan, caps), [], `${one.name}, ${pass}`);
    t.end();
  });

test('each kind of problem is seen', (t) => {
  const request = { shapes: { x: [4, 512] }, params: {}, caps: defaultCaps, host: {} };
  const plan = softmax.plan(request);
  const [dispatch] = plan.dispatches;
  const [x, out] = dispatch.bindings;
  const inputs = { x: ['f32', 8192] } as const;
  const problems = (changes: Partial<typeof dispatch>, caps = defaultCaps, given = inputs): string =>
    planProblems({ ...plan, dispatches: [{ ...dispatch, ...changes }] }, caps, given).join('\n');
  t.equal(problems({}), '');
  t.match(problems({ bindings: [x] }), /declares .*given/);
  t.match(problems({ bindings: [{ ...x, access: 'read_write' }, out] }), /declares .*given/);
  t.match(problems({ bindings: [{ ...x, tensor: 'y' }, out] }), /no tensor y/);
  t.match(problems({ bindings: [{ ...x, tensor: 'out' }, out] }), /written and bound again/);
  t.match(problems({ uniforms: [1] }), /uniforms u32,u32, given u32/);
  t.match(problems({ workgroups: [65_536, 1, 1] }), /a grid of 65536/);
  t.match(problems({ flops: 0.5 }), /flops 0.5/);
  t.match(problems({ constants: { ...dispatch.constants, WG: 512 } }), /512 invocations/);
  t.match(problems({}, { ...defaultCaps, maxStorageBuffersPerShaderStage: 1 }), /2 storage buffers/);
  t.match(problems({}, { ...defaultCaps, maxComputeWorkgroupStorageSize: 16 }), /bytes of a workgroup/);
  const scratch = { s: { shape: [2048], dtype: 'f32' } } as const;
  const small = { ...defaultCaps, maxStorageBufferBindingSize: 4096 };
  t.match(planProblems({ ...plan, scratch }, small).join(), /s: a buffer of 8192 bytes/);
  const integers = planProblems(plan, defaultCaps, { x: ['i32', 8192] });
  t.match(integers.join(), /x: vec4f bound as i32/);
  const fused = kernels.attention.plan({
    shapes: { q: [1, 64, 64], k: [1, 64, 64], v: [1, 64, 64] },
    ...{ params: { heads: 1 }, host: {}, caps: gateCaps.nvidia },
  });
  t.match(planProblems(fused, { ...gateCaps.nvidia, subgroupMinSize: 0 }).join(), /enable subgroups/);
  t.end();
});

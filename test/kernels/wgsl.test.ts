/** What each plan says about its shaders is what their WGSL declares, read by an independent parser. */
import { readdirSync } from 'node:fs';
import test from 'tape';
import { defaultCaps, kernels, sizeOf, type Dispatch } from '../../kernels/index.ts';
import { wgslOf } from '../../kernels/wgsl.ts';
import { plansOf } from './reference-plans.ts';

// The package's main entry is CommonJS that Node takes for a module; the module beside it has no types.
const { WgslReflect } = (await import(
  'wgsl_reflect/wgsl_reflect.module.js' as string
)) as typeof import('wgsl_reflect');

/** What the WGSL declares, in the words of a dispatch. */
function declared(dispatch: Dispatch) {
  // Bodies are left out: the parser takes `i < f(a, b > c)` for a template. So are types that it has not heard of.
  const text = wgslOf(dispatch).replace(/^(fn [^{]*\{)\n[\s\S]*?^\}/gm, '$1 }');
  const wgsl = new WgslReflect(text.replace(/^alias \w+ = subgroup_matrix.*\n/gm, ''));
  const variables = [...wgsl.storage, ...wgsl.uniforms].sort((a, b) => a.binding - b.binding);
  const entry = wgsl.entry.compute.find(({ name }) => name === dispatch.entryPoint);
  return {
    groups: [...new Set(variables.map(({ group }) => group))],
    numbers: variables.map(({ binding }) => binding),
    storage: wgsl.storage
      .sort((a, b) => a.binding - b.binding)
      .map(({ name, access }) => `${name} ${access || 'read'}`),
    uniforms: wgsl.uniforms.map(
      // Whole numbers are written alike whatever their sign.
      ({ name, members }) =>
        `${name}: ${(members ?? []).map(({ type }) => type.name.replace('i32', 'u32')).join()}`,
    ),
    uniformLast: wgsl.uniforms.every(({ binding }) => binding === wgsl.storage.length),
    invocations: (entry?.workgroupSize ?? [NaN]).map(Number).reduce((a, b) => a * b, 1),
  };
}

const used = new Set<string>();

for (const kernel of Object.values(kernels))
  test(`${kernel.name}: bindings and uniforms as its WGSL declares them`, (t) => {
    const seen = new Set<string>();
    const plans = plansOf(kernel);
    t.ok(plans.length > 0, 'has reference cases');
    for (const { plan, given } of plans)
      for (const dispatch of plan.dispatches) {
        used.add(dispatch.shader.name);
        const { shader, entryPoint, constants, bindings, uniforms } = dispatch;
        const fields = uniforms.map((field) => (typeof field === 'number' ? 'u32' : 'f32'));
        const what = `${shader.name}.${entryPoint} ${JSON.stringify(constants)} ${fields}`;
        if (seen.has(what)) continue;
        seen.add(what);
        const { invocations, ...interface_ } = declared(dispatch);
        const expected = {
          groups: [0],
          numbers: [...bindings.map((_, i) => i), ...(uniforms.length ? [bindings.length] : [])],
          storage: bindings.map(({ name, access }) => `${name} ${access}`),
          uniforms: uniforms.length ? [`params: ${fields}`] : [],
          uniformLast: true,
        };
        t.deepEqual(interface_, expected, what);
        t.ok(
          invocations >= 1 && invocations <= defaultCaps.maxComputeInvocationsPerWorkgroup,
          `${invocations}`,
        );
        const known = [given, plan.outputs, plan.scratch, plan.data].flatMap((names) =>
          Array.isArray(names) ? names : Object.keys(names),
        );
        const unknown = bindings.map(({ tensor }) => tensor).filter((name) => !known.includes(name));
        t.deepEqual(unknown, [], 'every tensor bound is an input, an output, scratch or data');
      }
    for (const { plan } of plans) {
      const { data, outputs, scratch } = plan;
      t.ok(Object.values(data).every((table) => table instanceof Int32Array));
      t.ok(Object.values({ ...outputs, ...scratch }).every(({ shape }) => Number.isInteger(sizeOf(shape))));
    }
    t.end();
  });

test('every WGSL file belongs to a plan', (t) => {
  const stems = readdirSync('shaders')
    .filter((file) => file.endsWith('.wgsl'))
    .map((file) => file.replace(/\.wgsl$/, ''));
  t.deepEqual(
    stems.filter((stem) => !used.has(stem)),
    [],
  );
  t.end();
});

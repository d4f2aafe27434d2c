/**
 * WGSL to JavaScript that counts: the part of the language that shaders/ uses, one function for each of its functions.
 * Every straight run of statements has a number of hits and a list of its float operations; those executed are the
 * products. Loads and stores of storage count themselves (memory.ts). Barriers and subgroup operations are yields.
 */
import { compileFunction } from 'node:vm';
import {
  arithmetic,
  COMPARISONS,
  conversion,
  each,
  literal,
  load,
  settled,
  store,
  view,
  type Value,
} from './javascript.ts';
import { builtinCall, SUBGROUP, WAITS } from './builtins.ts';
import { tokensOf } from './tokens.ts';
import { builtinType, isFloat, meet, scalar, words, zero, type Type } from './types.ts';

/** Float operations by name, by component: `mac` (fma, and dot with what adds it up), `+`, `*`, `/`, `max`, `exp`, … */
export type Operations = Record<string, number>;

export interface Translation {
  /** The body of a function of (prelude, hits, buffers, params) that returns the entry point, `reset`
   * for a new workgroup and `enter` for a lane of it. */
  js: string;
  /** Float operations of each run, by its number. */
  runs: Operations[];
  workgroupSize: number[];
  /** Builtin values that the entry point takes, in order. */
  builtins: string[];
  /** The uniform block's fields, in order. */
  fields: { name: string; signed: boolean }[];
}

const LEVELS = [
  ['||'],
  ['&&'],
  ['|'],
  ['^'],
  ['&'],
  ['==', '!='],
  ['<', '>', '<=', '>='],
  ['<<', '>>'],
  ['+', '-'],
  ['*', '/', '%'],
];
const GENERIC = ['vec2', 'vec3', 'vec4', 'array', 'bitcast'];

class Translator {
  readonly #tokens: string[];
  #at = 0;
  readonly #types = new Map<string, Type>();
  /** What functions give. */
  readonly #functions = new Map<string, Type>();
  /** Functions with a barrier or subgroup operation in them, or in what they call. */
  readonly #waiting = new Set<string>([...WAITS, ...SUBGROUP]);
  /** Names in sight, the innermost scope last. */
  readonly #scopes: Map<string, Value>[] = [new Map()];
  readonly #runs: Operations[] = [];
  #run: Operations = {};
  #names = 0;
  readonly #reset: string[] = [];
  readonly #private: string[] = [];
  #fields: Translation['fields'] = [];
  /** The constants declared so far. */
  #constants = '';
  #entry?: Pick<Translation, 'workgroupSize' | 'builtins'>;

  constructor(wgsl: string) {
    this.#tokens = tokensOf(wgsl);
    this.#findWaiting();
  }

  #findWaiting(): void {
    const starts = this.#tokens.flatMap((token, i) => (token === 'fn' ? [i] : []));
    const bodies = starts.map((start, i) => this.#tokens.slice(start + 1, starts[i + 1]));
    for (let before = 0; before !== this.#waiting.size;) {
      before = this.#waiting.size;
      for (const [name, ...body] of bodies)
        if (body.some((token) => this.#waiting.has(token))) this.#waiting.add(name);
    }
  }

  // Tokens

  get #next(): string {
    return this.#tokens[this.#at] ?? '';
  }
  #take(): string {
    return this.#tokens[this.#at++] ?? '';
  }
  #accept(token: string): boolean {
    if (this.#next !== token) return false;
    this.#at++;
    return true;
  }
  #expect(token: string): void {
    if (!this.#accept(token)) this.#fail(`"${token}" expected`);
  }
  #fail(what: string): never {
    throw new Error(`${what} at "${this.#tokens.slice(Math.max(0, this.#at - 8), this.#at + 8).join(' ')}"`);
  }
  /** The end of a template's arguments: `>>` ends two. */
  #closeTemplate(): void {
    if (this.#next === '>>') this.#tokens[this.#at] = '>';
    else this.#expect('>');
  }
  #list<T>(end: string, one: () => T): T[] {
    const all: T[] = [];
    while (!this.#accept(end)) {
      all.push(one());
      if (!this.#accept(',')) {
        this.#expect(end);
        break;
      }
    }
    return all;
  }

  // Runs of statements

  #newRun(): string {
    this.#run = {};
    this.#runs.push(this.#run);
    return `/*${this.#runs.length - 1}*/`;
  }
  #count(name: string, type: Type, ...operands: Value[]): void {
    if (!isFloat(type) || operands.every(({ constant }) => constant)) return;
    this.#run[name] = (this.#run[name] ?? 0) + type.width;
  }
  /** What `parse` gives, in a run of its own: it is not always executed with what stands around it. */
  #apart(parse: () => string): string {
    const around = this.#run;
    const hit = this.#newRun();
    const js = parse();
    this.#run = around;
    return `(${hit} ${js})`;
  }

  // Types

  #type(): Type {
    const name = this.#take();
    const known = this.#types.get(name) ?? builtinType(name);
    if (known) return known;
    this.#expect('<');
    const of = this.#type();
    const count = this.#accept(',') ? this.#constant() : undefined;
    this.#closeTemplate();
    if (name === 'array') return { width: 1, of, count };
    return scalar(of.scalar ?? 'f32', Number(/^vec([234])$/.exec(name)?.[1] ?? this.#fail('unknown type')));
  }
  /** A number known now. */
  #constant(): number {
    const { js } = this.#binary(8); // no `>`, which would end a template
    const value = compileFunction(`${this.#constants} return ${js};`, ['F']) as (f: unknown) => unknown;
    return Number(value(Math.fround));
  }

  // Declarations

  module(): Omit<Translation, 'runs'> {
    // Functions come last: they may use what is declared after them.
    const out: string[] = [];
    const functions: number[] = [];
    while (this.#next !== '') {
      const from = this.#at;
      this.#attributes();
      if (this.#next === 'fn') {
        functions.push(from);
        this.#skipFunction();
      } else out.push(this.#declaration());
    }
    const bodies = functions.map((from) => {
      this.#at = from;
      return this.#signature();
    });
    out.push(...bodies.map((body) => body()));
    if (!this.#entry) this.#fail('no entry point');
    const lane = `let own, lanes = [];\nconst enter = lane => { own = lanes[lane] ??= { ${this.#private.join(', ')} }; };`;
    const reset = `const reset = () => { lanes = []; ${this.#reset.join(' ')} };`;
    const js = [lane, ...out, reset, 'return { main: f_main, enter, reset };'].join('\n');
    return { ...this.#entry, fields: this.#fields, js: this.#withHits(js) };
  }
  get runs(): Operations[] {
    return this.#runs;
  }
  /** A run without an operation needs no hits. */
  #withHits(js: string): string {
    return js.replace(/\(?\/\*(\d+)\*\//g, (mark, i: string) => {
      const counts = Object.keys(this.#runs[Number(i)]).length > 0;
      const hit = counts ? `hits[${i}]++` : '';
      return mark.startsWith('(') ? `(${hit && `${hit},`}` : hit && `${hit};`;
    });
  }
  #attributes(): Record<string, string[]> {
    const all: Record<string, string[]> = {};
    while (this.#accept('@')) {
      const name = this.#take();
      all[name] = this.#accept('(')
        ? this.#list(')', () => (builtinNames.has(this.#next) ? this.#take() : String(this.#constant())))
        : [];
    }
    return all;
  }
  #skipFunction(): void {
    for (let depth = 0, begun = false; !begun || depth > 0;) {
      const token = this.#take();
      begun ||= token === '{';
      depth += Number(token === '{') - Number(token === '}');
    }
  }
  #declaration(): string {
    if (this.#accept('enable')) {
      while (this.#take() !== ';');
      return '';
    }
    if (this.#accept('alias')) {
      const name = this.#take();
      this.#expect('=');
      this.#types.set(name, this.#type());
      this.#expect(';');
      return '';
    }
    if (this.#accept('struct')) {
      const name = this.#take();
      this.#expect('{');
      const fields = this.#list('}', () => {
        const field = this.#take();
        this.#expect(':');
        return [field, this.#type()] as const;
      });
      this.#accept(';');
      this.#types.set(name, { width: 1, fields: Object.fromEntries(fields) });
      return '';
    }
    if (this.#next === 'const') return this.#statement();
    this.#expect('var');
    this.#expect('<');
    const space = this.#take();
    if (this.#accept(',')) this.#take();
    this.#closeTemplate();
    const name = this.#take();
    this.#expect(':');
    const type = this.#type();
    this.#expect(';');
    if (space === 'storage') {
      const js = `b_${name}`;
      this.#scopes[0].set(name, { js, type, stored: { buffer: js, at: '0' } });
      return `const ${js} = buffers.${name};`;
    }
    if (space === 'uniform') {
      this.#scopes[0].set(name, { js: 'params', type });
      this.#fields = Object.entries(type.fields ?? {}).map(([field, of]) => ({
        name: field,
        signed: of.scalar === 'i32',
      }));
      return '';
    }
    if (space === 'private') {
      const key = `${name}_${this.#names++}`;
      this.#scopes[0].set(name, { js: `own.${key}`, type, variable: true });
      this.#private.push(`${key}: ${zero(type)}`);
      return '';
    }
    const js = this.#declare(name, type, { variable: true });
    this.#reset.push(`${js} = ${zero(type)};`);
    return `let ${js};`;
  }
  #declare(name: string, type: Type, more: Partial<Value> = {}): string {
    const js = `${name}_${this.#names++}`;
    this.#scopes[this.#scopes.length - 1].set(name, { js, type, ...more });
    return js;
  }
  /** Declares a function; what it gives translates the body. */
  #signature(): () => string {
    const attributes = this.#attributes();
    this.#expect('fn');
    const name = this.#take();
    this.#expect('(');
    const builtins: string[] = [];
    const params = this.#list(')', () => {
      builtins.push(this.#attributes().builtin?.[0] ?? '');
      const param = this.#take();
      this.#expect(':');
      return [param, this.#type()] as const;
    });
    this.#functions.set(name, this.#accept('->') ? this.#type() : scalar('bool'));
    const waits = this.#waiting.has(name);
    const workgroupSize = attributes.workgroup_size?.map(Number);
    if (workgroupSize) this.#entry = { workgroupSize, builtins };
    const body = this.#at;
    return () => {
      this.#at = body;
      this.#scopes.push(new Map());
      const names = params.map(([param, type]) => this.#declare(param, type, { variable: true }));
      const js = this.#block();
      this.#scopes.pop();
      return `function${waits ? '*' : ''} f_${workgroupSize ? 'main' : name}(${names.join(', ')}) ${js}`;
    };
  }

  // Statements

  #block(): string {
    this.#expect('{');
    this.#scopes.push(new Map());
    let out = `{ ${this.#newRun()}`;
    while (!this.#accept('}')) {
      const compound = ['if', 'for', 'while', 'loop', '{'].includes(this.#next);
      out += this.#statement() + '\n';
      // What follows may not be reached: there can be a return or break in it.
      if (compound && this.#next !== '}') out += this.#newRun();
    }
    this.#scopes.pop();
    return `${out}}`;
  }
  #statement(): string {
    if (this.#next === '{') return this.#block();
    if (this.#accept('if')) {
      let out = `if (${this.#expression().js}) ${this.#block()}`;
      if (this.#accept('else')) {
        if (this.#next === 'if') {
          // Its condition is evaluated in this branch alone.
          out += ` else { ${this.#newRun()} ${this.#statement()} }`;
        } else out += ` else ${this.#block()}`;
      }
      return out;
    }
    if (this.#accept('while')) return `while (${this.#apart(() => this.#expression().js)}) ${this.#block()}`;
    if (this.#accept('loop')) return `for (;;) ${this.#block()}`;
    if (this.#accept('for')) {
      this.#expect('(');
      this.#scopes.push(new Map());
      const first = this.#accept(';') ? ';' : this.#statement();
      const condition = this.#next === ';' ? 'true' : this.#apart(() => this.#expression().js);
      this.#expect(';');
      const step =
        this.#next === ')'
          ? ''
          : this.#apart(() => this.#assignment().replace(/^\{(.*)\}$/s, '(() => {$1})()'));
      this.#expect(')');
      const body = this.#block();
      this.#scopes.pop();
      return `for (${first} ${condition}; ${step}) ${body}`;
    }
    if (this.#accept('return')) {
      const js = this.#next === ';' ? '' : this.#kept(this.#expression());
      this.#expect(';');
      return `return ${js};`;
    }
    if (this.#next === 'break' || this.#next === 'continue') {
      const word = this.#take();
      this.#expect(';');
      return `${word};`;
    }
    if (this.#next === 'let' || this.#next === 'var' || this.#next === 'const') return this.#local();
    const js = this.#assignment();
    this.#expect(';');
    return `${js};`;
  }
  #local(): string {
    const word = this.#take();
    const name = this.#take();
    const declared = this.#accept(':') ? this.#type() : undefined;
    const value = this.#accept('=') ? this.#expression() : undefined;
    this.#expect(';');
    const type = settled(declared ?? value?.type ?? this.#fail('no type'), word === 'const');
    const js = value ? this.#kept(value) : zero(type);
    const target = this.#declare(name, type, word === 'const' ? { constant: true } : { variable: true });
    const out = `${word === 'var' ? 'let' : 'const'} ${target} = ${js};`;
    if (word === 'const') this.#constants += out;
    return out;
  }
  /** An assignment, or a call. */
  #assignment(): string {
    if (this.#accept('_')) {
      this.#expect('=');
      return this.#expression().js;
    }
    const target = this.#postfix(true);
    const operator = this.#next;
    if (operator === '++' || operator === '--') {
      this.#take();
      return `${target.js}${operator}`;
    }
    if (!operator.endsWith('=')) return target.js;
    this.#take();
    const value = this.#expression();
    if (operator === '=') return this.#put(target, this.#kept(value));
    // The place is found once.
    const { stored, held, type } = target;
    const read = stored ? load({ ...stored, at: 'at_' }, type) : held ? 'container_[key_]' : target.js;
    const old: Value = { ...target, js: read, stored: undefined, held: undefined };
    const js = this.#operation(operator.slice(0, -1), old, value).js;
    if (stored) return `{ const at_ = ${stored.at}; ${store({ ...stored, at: 'at_' }, type, js)} }`;
    if (held) return `{ const container_ = ${held.container}, key_ = ${held.key}; container_[key_] = ${js} }`;
    return `${target.js} = ${js}`;
  }
  #put({ js, type, stored, held }: Value, value: string): string {
    if (stored) return store(stored, type, value);
    return held ? `${held.container}[${held.key}] = ${value}` : `${js} = ${value}`;
  }

  // Expressions

  /** Its JavaScript, where it is kept: a composite that is a variable is copied. */
  #kept({ js, type, variable }: Value): string {
    return variable && (type.width > 1 || type.of || type.fields) ? `copy(${js})` : js;
  }
  #expression(): Value {
    return this.#binary(0);
  }
  #binary(level: number): Value {
    if (level === LEVELS.length) return this.#unary();
    let left = this.#binary(level + 1);
    while (LEVELS[level].includes(this.#next)) {
      const operator = this.#take();
      if (operator === '&&' || operator === '||') {
        const js = this.#apart(() => this.#binary(level + 1).js);
        left = { js: `(${left.js} ${operator} ${js})`, type: scalar('bool') };
      } else left = this.#operation(operator, left, this.#binary(level + 1));
    }
    return left;
  }
  #operation(operator: string, a: Value, b: Value): Value {
    const shift = operator === '<<' || operator === '>>';
    const type = shift ? a.type : meet(a.type, b.type);
    const constant = a.constant && b.constant;
    const js = each(type.width, [a, b], ([x, y]) => arithmetic(operator, type.scalar ?? 'f32', x, y));
    if (COMPARISONS.includes(operator)) {
      this.#count('compare', type, a, b);
      return { js, type: scalar('bool', type.width), constant };
    }
    // What adds up a dot product is counted with it.
    const inner = operator === '+' && (a.inner || b.inner);
    if (!inner) this.#count(operator === '-' ? '+' : operator, type, a, b);
    return { js, type, constant };
  }
  #unary(): Value {
    const operator = ['-', '!', '~'].find((one) => this.#accept(one));
    if (!operator) return this.#postfix();
    const { type, constant, ...value } = this.#unary();
    this.#count('negate', type, { type, constant, ...value });
    const js = each(type.width, [{ ...value, type }], ([x]) =>
      operator === '-' && type.scalar === 'i32'
        ? `(-${x} | 0)`
        : operator === '~'
          ? `(~${x} >>> 0)`
          : `(${operator}${x})`,
    );
    return { js, type, constant };
  }
  /** `place`: it will be assigned to, so that nothing is loaded. */
  #postfix(place = false): Value {
    let value = this.#primary();
    for (;;) {
      if (this.#accept('[')) {
        const index = this.#expression().js;
        this.#expect(']');
        value = this.#element(value, index);
      } else if (this.#accept('.')) value = this.#member(value, this.#take());
      else break;
    }
    return place || !value.stored ? value : { js: load(value.stored, value.type), type: value.type };
  }
  #element({ js, type, stored, variable }: Value, index: string): Value {
    const of = type.of ?? scalar(type.scalar ?? 'f32');
    if (stored) {
      const at = `${stored.at} + ${words(of)} * (${index})`;
      return { js, type: of, stored: { ...stored, at } };
    }
    return { js: `${js}[${index}]`, type: of, held: { container: js, key: index }, variable };
  }
  #member({ js, type, stored, variable, constant }: Value, name: string): Value {
    if (type.fields) {
      const of = type.fields[name] ?? this.#fail(`no field ${name}`);
      if (stored) {
        const names = Object.keys(type.fields);
        const before = names
          .slice(0, names.indexOf(name))
          .reduce((sum, field) => sum + words(type.fields![field]), 0);
        return { js, type: of, stored: { ...stored, at: `${stored.at} + ${before}` } };
      }
      return { js: `${js}.${name}`, type: of, held: { container: js, key: `'${name}'` }, variable };
    }
    const at = [...name].map((letter) => 'xyzwrgba'.indexOf(letter) % 4);
    if (at.length === 1) return this.#element({ js, type, stored, variable }, String(at[0]));
    const whole = stored ? load(stored, type) : js;
    return {
      js: `(v => [${at.map((i) => `v[${i}]`).join(', ')}])(${whole})`,
      type: scalar(type.scalar ?? 'f32', at.length),
      constant,
    };
  }
  #primary(): Value {
    if (this.#accept('(')) {
      const value = this.#expression();
      this.#expect(')');
      return { ...value, js: `(${value.js})` };
    }
    const token = this.#take();
    if (/^[.\d]/.test(token)) return literal(token);
    if (token === 'true' || token === 'false') return { js: token, type: scalar('bool'), constant: true };
    if (this.#next === '(' || (GENERIC.includes(token) && this.#next === '<')) return this.#call(token);
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const known = this.#scopes[i].get(token);
      if (known) return known;
    }
    return this.#fail(`unknown name ${token}`);
  }
  #call(name: string): Value {
    let type = this.#types.get(name) ?? builtinType(name);
    if (GENERIC.includes(name) && this.#next === '<') {
      if (name === 'bitcast') {
        this.#expect('<');
        type = this.#type();
        this.#closeTemplate();
      } else {
        this.#at--;
        type = this.#type();
      }
    }
    this.#expect('(');
    const args = this.#list(')', () => this.#expression());
    if (name === 'bitcast') return this.#bitcast(type ?? this.#fail('bitcast to what'), args[0]);
    if (type) return this.#construct(type, args);
    const own = this.#functions.get(name);
    if (own) {
      const call = `f_${name}(${args.map((arg) => this.#kept(arg)).join(', ')})`;
      return { js: this.#waiting.has(name) ? `(yield* ${call})` : call, type: own };
    }
    return (
      builtinCall(name, args, (...counted) => this.#count(...counted)) ??
      this.#fail(`unknown function ${name}`)
    );
  }
  #bitcast(type: Type, x: Value): Value {
    const to = view(type);
    return { js: each(type.width, [x], ([one]) => `bits(${one}, '${view(x.type)}', '${to}')`), type };
  }
  #construct(type: Type, args: Value[]): Value {
    const constant = args.every((arg) => arg.constant);
    if (args.length === 0) return { js: zero(type), type, constant: true };
    if (type.of) return { js: `[${args.map((arg) => this.#kept(arg)).join(', ')}]`, type, constant };
    if (type.fields) {
      const names = Object.keys(type.fields);
      return { js: `({ ${args.map((arg, i) => `${names[i]}: ${this.#kept(arg)}`).join(', ')} })`, type };
    }
    const convert = (js: string, from: Type): string =>
      conversion(js, from.scalar ?? 'f32', type.scalar ?? 'f32');
    if (args.length === 1) {
      const [arg] = args;
      if (arg.type.width === type.width && arg.type.scalar !== type.scalar) this.#count('convert', type, arg);
      return { js: each(type.width, [arg], ([x]) => convert(x, arg.type)), type, constant };
    }
    const parts = args.map((arg) => (arg.type.width > 1 ? `...${arg.js}` : convert(arg.js, arg.type)));
    return { js: `[${parts.join(', ')}]`, type, constant, inner: args.every(({ inner }) => inner) };
  }
}

const builtinNames = new Set(
  'workgroup_id num_workgroups local_invocation_index local_invocation_id subgroup_size subgroup_invocation_id global_invocation_id storage read read_write'.split(
    ' ',
  ),
);

/** Errors: an Error that quotes what it cannot read. */
export function translate(wgsl: string): Translation {
  const translator = new Translator(wgsl);
  const module = translator.module();
  return { ...module, runs: translator.runs };
}

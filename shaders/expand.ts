/**
 * The one preprocessor of WGSL text. Directives stand alone on a line:
 *   #include "common/x.wgsl"      (once a file; within a #for once a turn)
 *   #if EXPR … #elif EXPR … #else … #endif
 *   #for i in A..B … #endfor      (A and B are expressions, B exclusive)
 *   #for r in NAME … #endfor      (NAME is a constant that holds a list)
 * In all other lines `$name` and `$(expr)` are replaced by their value. Expressions are integers, constants and elements
 * `NAME[expr]` of lists with + - * / % == != < <= > >= && || ! and parentheses; an unknown name is an error, never 0.
 */
/** A WGSL file as its module gives it. */
export interface Shader {
  /** Its path below shaders/, without the extension. */
  readonly name: string;
  readonly text: string;
  /** The files that it includes, whatever its constants are. */
  readonly includes: readonly Shader[];
}

export type Constants = Readonly<Record<string, number | readonly number[]>>;

export class ExpandError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ExpandError';
  }
}

const precedence: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!='],
  ['<=', '>=', '<', '>'],
  ['+', '-'],
  ['*', '/', '%'],
];

const operators: Record<string, (a: number, b: number) => number> = {
  '||': (a, b) => (a || b ? 1 : 0),
  '&&': (a, b) => (a && b ? 1 : 0),
  '==': (a, b) => (a === b ? 1 : 0),
  '!=': (a, b) => (a !== b ? 1 : 0),
  '<=': (a, b) => (a <= b ? 1 : 0),
  '>=': (a, b) => (a >= b ? 1 : 0),
  '<': (a, b) => (a < b ? 1 : 0),
  '>': (a, b) => (a > b ? 1 : 0),
  '+': (a, b) => a + b,
  '-': (a, b) => a - b,
  '*': (a, b) => a * b,
  '/': (a, b) => Math.trunc(a / b),
  '%': (a, b) => a % b,
};

/** Value of an expression over integer constants. */
export function evaluate(expression: string, constants: Constants): number {
  const tokens = expression.match(/\d+|[A-Za-z_]\w*|\|\||&&|[=!<>]=|[-+*/%<>!()[\]]/g) ?? [];
  if (tokens.join('') !== expression.replace(/\s+/g, ''))
    throw new ExpandError(`cannot read expression "${expression}"`);
  let at = 0;
  const atom = (): number => {
    const token = tokens[at++];
    if (token === '!') return atom() ? 0 : 1;
    if (token === '-') return -atom();
    if (token === '(') {
      const value = binary(0);
      if (tokens[at++] !== ')') throw new ExpandError(`missing ")" in "${expression}"`);
      return value;
    }
    if (token !== undefined && /^\d/.test(token)) return Number(token);
    let value = token === undefined ? undefined : constants[token];
    if (Array.isArray(value) && tokens[at] === '[') {
      at++;
      value = (value as readonly number[])[binary(0)];
      if (tokens[at++] !== ']') throw new ExpandError(`missing "]" in "${expression}"`);
    }
    if (typeof value !== 'number')
      throw new ExpandError(`unknown constant "${token ?? ''}" in "${expression}"`);
    return value;
  };
  const binary = (level: number): number => {
    if (level === precedence.length) return atom();
    let left = binary(level + 1);
    while (precedence[level].includes(tokens[at])) {
      const operator = tokens[at++];
      left = operators[operator](left, binary(level + 1));
    }
    return left;
  };
  const value = binary(0);
  if (at !== tokens.length || !Number.isFinite(value))
    throw new ExpandError(`cannot read expression "${expression}"`);
  return value;
}

/** Specialises a shader with `constants`. Errors: ExpandError that names the shader or the expression. */
export function expand(shader: Shader, constants: Constants): string {
  const stem = shader.name;

  /** Index of the line that closes the block opened at `start`; `splits` receives its #elif / #else lines. */
  const closing = (lines: string[], start: number, splits: number[]): number => {
    const open: string[] = [];
    for (let i = start; i < lines.length; i++) {
      const word = /^\s*#(\w+)/.exec(lines[i])?.[1];
      if (word === 'if' || word === 'for') open.push(word);
      if (word === 'endif' || word === 'endfor') {
        if (word !== `end${open.pop()}`)
          throw new ExpandError(`${stem}: "${lines[start].trim()}" holds a stray "#${word}"`);
        if (open.length === 0) return i;
      }
      if (open.length === 1 && (word === 'elif' || word === 'else')) splits.push(i);
    }
    throw new ExpandError(`${stem}: "${lines[start].trim()}" is never closed`);
  };

  const out: string[] = [];
  const process = (file: Shader, lines: string[], scope: Constants, included: Set<string>): void => {
    for (let i = 0; i < lines.length; i++) {
      const line = lines[i];
      const directive = /^\s*#(\w+)\s*(.*?)\s*$/.exec(line);
      if (!directive) {
        const text = line
          .replace(/\$\(([^()]*(?:\([^()]*\)[^()]*)*)\)/g, (_, e: string) => String(evaluate(e, scope)))
          .replace(/\$([A-Za-z_]\w*)/g, (_, name: string) => String(evaluate(name, scope)));
        if (text.includes('$')) throw new ExpandError(`${stem}: cannot read "${line.trim()}"`);
        out.push(text);
        continue;
      }
      const [, word, rest] = directive;
      if (word === 'include') {
        const name = rest.replace(/^"|"$/g, '').replace(/\.wgsl$/, '');
        if (!included.has(name)) {
          included.add(name);
          const part = file.includes.find((other) => other.name === name);
          if (!part) throw new ExpandError(`${file.name}: no shader named "${name}"`);
          process(part, part.text.split('\n'), scope, included);
        }
      } else if (word === 'if') {
        const splits: number[] = [];
        const end = closing(lines, i, splits);
        const starts = [i, ...splits];
        const taken = starts.findIndex((at) => {
          const [, which, condition] = /^\s*#(\w+)\s*(.*?)\s*$/.exec(lines[at]) as RegExpExecArray;
          return which === 'else' || evaluate(condition, scope) !== 0;
        });
        if (taken >= 0)
          process(file, lines.slice(starts[taken] + 1, starts[taken + 1] ?? end), scope, included);
        i = end;
      } else if (word === 'for') {
        const end = closing(lines, i, []);
        const head = /^(\w+)\s+in\s+(.+)$/.exec(rest);
        if (!head) throw new ExpandError(`${stem}: cannot read "${line.trim()}"`);
        const [, name, range] = head;
        const bounds = range.split('..');
        const list = scope[range.trim()];
        const values =
          bounds.length === 2
            ? span(evaluate(bounds[0], scope), evaluate(bounds[1], scope))
            : Array.isArray(list)
              ? (list as readonly number[])
              : undefined;
        if (!values) throw new ExpandError(`${stem}: "${range}" is neither a range nor a list`);
        const body = lines.slice(i + 1, end);
        for (const value of values) process(file, body, { ...scope, [name]: value }, new Set(included));
        i = end;
      } else throw new ExpandError(`${stem}: unknown directive "#${word}"`);
    }
  };

  process(shader, shader.text.split('\n'), constants, new Set([stem]));
  return out.join('\n');
}

const span = (from: number, to: number): number[] =>
  Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

/** The tokens of WGSL. */

const TOKEN =
  /\s*(0x[0-9a-fA-F]+[ui]?|(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?f?|\d+(?:[eE][-+]?\d+)f?|\d+[uif]?|[A-Za-z_]\w*|<<=|>>=|&&|\|\||[=!<>]=|<<|>>|[-+*/%&|^]=|\+\+|--|->|[-+*/%&|^!~<>=(){}[\];:,.@])/y;

/** Errors: an Error that quotes what is no token. */
export function tokensOf(wgsl: string): string[] {
  const text = wgsl.replace(/\/\/.*/g, '').trimEnd();
  const tokens: string[] = [];
  for (TOKEN.lastIndex = 0; TOKEN.lastIndex < text.length;) {
    const from = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new Error(`cannot read WGSL at "${text.slice(from, from + 40)}"`);
    tokens.push(match[1]);
  }
  return tokens;
}

/**
 * Columns of tokens with their tags, a blank line after each sentence: CoNLL-2003's four (Tjong Kim Sang and De Meulder
 * 2003) or any number of them, word first and tag last. `-DOCSTART-` and comments are passed over, but for `# sent_id =`
 * and `# text =`, which CoNLL-U has (universaldependencies.org/format).
 */
import { RowReader } from '../../dataset.ts';
import type { Reading } from '../reading.ts';
import type { Counts, FoundRow, Row } from '../row.ts';
import { isTag, TagReader, tagsOf, type Scheme } from '../tags.ts';
import { joinedText } from '../tokens.ts';
import { countNumbers, type LineFormat } from './format.ts';

const COMMENT = /^#\s*(sent_id|text)\s*=\s?(.*)$/;
const DOCUMENT = '-DOCSTART-';
const isDocumentStart = (line: string): boolean => /^-DOCSTART-(\s|$)/.test(line);
/** Of Unix, of Windows, of old Macs. */
const LINE_END = /\r\n|\n|\r/;

/** Without those characters at its end: a pattern would try every run of them, and one on a long line exhaust the stack. */
function cutEnd(line: string, characters: string): string {
  let end = line.length;
  while (end > 0 && characters.includes(line[end - 1])) end--;
  return line.slice(0, end);
}

/** A token and its tag, with blanks and tabs between; the token may be white space. */
function twoColumns(whole: string): [token: string, tag: string] | undefined {
  const last = Math.max(whole.lastIndexOf(' '), whole.lastIndexOf('\t'));
  const tag = whole.slice(last + 1);
  if (last < 1 || !isTag(tag)) return undefined;
  const token = cutEnd(whole.slice(0, last), ' \t') || whole[0];
  return token.length === 1 || !/\s/u.test(token) ? [token, tag] : undefined;
}

/** The columns of a line, whose last is a tag; undefined for any other line. */
function columnsOf(line: string): string[] | undefined {
  // White space may be the first token, so that only the end is cut.
  const whole = cutEnd(line, ' \t\r');
  const two = twoColumns(whole);
  if (two) return two;
  const columns = whole.split(whole.includes('\t') ? '\t' : / +/);
  return columns.length > 1 && isTag(columns[columns.length - 1]) ? columns : undefined;
}

/** The lines of a sentence, with where its first one stands. */
interface Lines {
  line: number;
  columns: string[][];
  /** The line that has no tag, from 1, where there is one. */
  bad?: number;
  id?: string;
  text?: string;
}

/** The lines by sentence, and how many columns most of them have. */
function sentencesOf(content: string): { sentences: Lines[]; width: number } {
  const lines = content.split(LINE_END).map((line) => ({ line, columns: columnsOf(line) }));
  const widths = new Map<number, number>();
  for (const { columns } of lines)
    if (columns) widths.set(columns.length, (widths.get(columns.length) ?? 0) + 1);
  const width = [...widths].reduce((most, one) => (one[1] > most[1] ? one : most), [0, 0])[0];
  const sentences: Lines[] = [];
  let current: Lines | undefined;
  lines.forEach(({ line, columns }, i) => {
    const isComment = line.startsWith('#') && columns?.length !== width;
    if (line.trim() === '' || (!current && isDocumentStart(line))) {
      current = undefined;
      return;
    }
    if (!current) sentences.push((current = { line: i + 1, columns: [] }));
    if (isComment) {
      const [, key, value] = COMMENT.exec(line) ?? [];
      if (key === 'sent_id') current.id = value.trim();
      if (key === 'text') current.text = value;
    } else if (columns) current.columns.push(columns);
    else current.bad ??= i + 1;
  });
  return {
    sentences: sentences.filter(({ columns, bad }) => columns.length > 0 || bad !== undefined),
    width,
  };
}

/** True where the first column numbers the tokens of every sentence, as some CoNLL files have it. */
const isNumbered = (sentences: readonly Lines[]): boolean =>
  sentences.every(({ columns }) => columns.every((c, i) => c.length > 2 && c[0] === String(i + 1)));

/** What a token of a file that parts its columns by tabs cannot hold. */
const BREAK = /[\t\n\r]/g;

/** A type as a tag holds it: on one line, with something at both ends. */
const typeInTag = (type: string): string => type.replace(BREAK, ' ').trim() || '_';

/** Whether a line of its own gives an id back. */
const isLineValue = (id: Row['id']): boolean =>
  id === undefined || (String(id).trim() === String(id) && !/[\n\r]/.test(String(id)));

function write(rows: readonly Row[], losses: Counts, scheme: Scheme | undefined): string {
  const all = rows.flatMap(({ tokens = [] }) => tokens);
  const characters = all.every((token) => [...token].length === 1);
  const broken = all.filter((token) => /[\t\n\r]/.test(token)).length;
  losses.add('tokens with a tab or a line break, which becomes a blank', broken);
  losses.add(
    'tokens with half a character, which no UTF-8 holds',
    all.filter((token) => /\p{Surrogate}/u.test(token)).length,
  );
  const firsts = rows.map(({ tokens = [] }) => tokens[0]);
  losses.add(
    `sentences that begin with ${DOCUMENT}, which is passed over`,
    firsts.filter((token) => token === DOCUMENT).length,
  );
  losses.add('byte order marks at the start', Number(firsts[0]?.startsWith('\ufeff') ?? false));
  losses.add(
    'entities of types with a tab, a line break or blanks at their ends, which are left out',
    rows.flatMap(({ entities }) => entities).filter(({ type }) => typeInTag(type) !== type).length,
  );
  const kept = rows.map((row) => ({
    ...row,
    ...(!isLineValue(row.id) && { id: undefined }),
    entities: row.entities.map((entity) => ({ ...entity, type: typeInTag(entity.type) })),
  }));
  losses.add(
    'ids with a line break or blanks at their ends',
    rows.filter(({ id }) => !isLineValue(id)).length,
  );
  countNumbers(rows, losses);
  const needsTabs =
    all.some((token) => token === '' || (/\s/.test(token) && token.length > 1)) ||
    kept.some(({ entities }) => entities.some(({ type }) => /\s/.test(type)));
  return kept
    .map(({ tokens = [], text, entities, id }) => {
      const tags = tagsOf(entities, tokens.length, scheme);
      const said = text === undefined || text === joinedText(tokens, characters) ? undefined : text;
      const holds =
        said !== undefined && !/[\n\r]/.test(said) && !tokens.some((token) => /[\t\n\r]/.test(token));
      if (said !== undefined && !holds) losses.add('texts with line breaks');
      return [
        ...(id === undefined ? [] : [`# sent_id = ${String(id)}`]),
        ...(holds ? [`# text = ${said}`] : []),
        ...tokens.map((token, i) => `${token.replace(BREAK, ' ')}${needsTabs ? '\t' : ' '}${tags[i]}`),
        '',
      ]
        .map((line) => `${line}\n`)
        .join('');
    })
    .join('');
}

export const conll: LineFormat = {
  kind: 'lines',
  name: 'conll',
  title: 'CoNLL columns',
  holds: { unit: 'token', text: true, ids: true, overlaps: false, relations: false },
  is(content) {
    for (const line of content.split(LINE_END, 50)) {
      if (line.trim() === '' || isDocumentStart(line)) continue;
      if (columnsOf(line)) return true;
      if (!line.startsWith('#')) return false;
    }
    return false;
  },
  read(content, reading) {
    const { sentences, width } = sentencesOf(content);
    const word = isNumbered(sentences) ? 1 : 0;
    const tags = new TagReader();
    const rows = sentences.flatMap(
      (lines, i) => reading.bad.attempt(() => rowOf(lines, i, word, tags, reading)) ?? [],
    );
    reading.notes.push(...tags.notes());
    return { rows, about: `${width} columns, ${tags.scheme.toUpperCase()} tags` };
  },
  write: (rows, losses, { tags }) => write(rows, losses, tags),
};

function rowOf(lines: Lines, i: number, word: number, tags: TagReader, { file }: Reading): FoundRow {
  const { columns, bad, id, text } = lines;
  if (bad !== undefined)
    new RowReader(file, `line ${bad}`).fail(
      '',
      'not a token and its tag (O, or B-, I-, M-, E-, S-, L- or U- and a type)',
    );
  const tokens = columns.map((of) => of[word]);
  const entities = tags.entities(columns.map((of) => of[of.length - 1]));
  return {
    ...{ place: `row ${i + 1}`, ...(text === undefined ? {} : { text }), tokens, entities, relations: [] },
    ...(id === undefined ? {} : { id }),
  };
}

/** What a model gets wrong in a corpus, counted: by type, by kind of error, by what is told most often. */
import { scoreOf, type Score } from '../metrics.ts';
import { calibrationOf, cutsOf, type Calibration, type Cut, type Scored } from './calibration.ts';
import { matchEntities, type EntityMatch, type EntityVerdict } from './entities.ts';
import type { Judged, JudgedAnnotation, Judgement } from './judged.ts';
import { matchRelations, type RelationMatch, type RelationVerdict } from './relations.ts';

/** The facts of one kind. */
export interface KindErrors<V extends string> {
  score: Score;
  /** Gold and predictions of each verdict; a pair counts in both. */
  verdicts: Partial<Record<V, { gold: number; predicted: number }>>;
  /** The same by type, the gold's of a pair; sorted by code unit. */
  perType: Record<string, Score & { verdicts: Partial<Record<V, number>> }>;
  /** Of predictions that have a score. */
  calibration?: Calibration;
  cuts: Cut[];
}

/** How often something of one text and one kind went wrong in one way. */
export interface Frequent {
  text: string;
  verdict: EntityVerdict;
  gold?: string;
  predicted?: string;
  count: number;
}

export interface TextErrors {
  judged: Judged;
  entities: EntityMatch[];
  relations: RelationMatch[];
  /** Matches that are not right. */
  errors: number;
}

export interface Analysis {
  texts: TextErrors[];
  /** Texts without an error. */
  rightTexts: number;
  /** Absent where entities are given. */
  entities?: KindErrors<EntityVerdict> & {
    /** By gold type, of what stands on the very span: how often each type is predicted. */
    confusion: Record<string, Record<string, number>>;
    /** The most frequent errors, at least two of each. */
    frequent: Frequent[];
  };
  /** Absent where neither gold nor predictions have any. */
  relations?: KindErrors<RelationVerdict>;
}

interface Match<V> {
  verdict: V;
  gold?: number;
  predicted?: number;
}

/** Rows of the list of what is wrong most often. */
const FREQUENT = 20;

/** Adds up what is alike in all kinds of facts. */
function kindErrors<V extends string>(
  kind: 'entities' | 'relations',
  texts: readonly { judged: Judged; matches: readonly Match<V>[] }[],
  beyondReach: V,
): KindErrors<V> {
  const itemsOf = (annotation: JudgedAnnotation): readonly { type: string; score?: number }[] =>
    annotation[kind];
  const verdicts: KindErrors<V>['verdicts'] = {};
  type OfType = { right: number; gold: number; predicted: number; verdicts: Partial<Record<V, number>> };
  const types = new Map<string, OfType>();
  const ofType = (type: string): OfType => {
    const found = types.get(type) ?? { right: 0, gold: 0, predicted: 0, verdicts: {} };
    types.set(type, found);
    return found;
  };
  const scored: Scored[] = [];
  for (const { judged, matches } of texts) {
    for (const type of judged.beyond?.[kind] ?? []) {
      (verdicts[beyondReach] ??= { gold: 0, predicted: 0 }).gold++;
      const own = ofType(type);
      own.gold++;
      own.verdicts[beyondReach] = (own.verdicts[beyondReach] ?? 0) + 1;
    }
    for (const { verdict, gold, predicted } of matches) {
      const [g, p] = [
        gold === undefined ? undefined : itemsOf(judged.gold)[gold],
        predicted === undefined ? undefined : itemsOf(judged.predicted)[predicted],
      ];
      const right = verdict === 'right';
      const counts = (verdicts[verdict] ??= { gold: 0, predicted: 0 });
      if (g) {
        counts.gold++;
        ofType(g.type).gold++;
      }
      if (p) {
        counts.predicted++;
        ofType(p.type).predicted++;
        if (p.score !== undefined) scored.push({ score: p.score, right });
      }
      const own = ofType((g ?? p)!.type);
      own.verdicts[verdict] = (own.verdicts[verdict] ?? 0) + 1;
      if (right) own.right++;
    }
  }
  const score = (of: { right: number; gold: number; predicted: number }) =>
    scoreOf(of.right, of.predicted, of.right, of.gold);
  const sums = { right: 0, gold: 0, predicted: 0 };
  for (const of of types.values())
    for (const key of ['right', 'gold', 'predicted'] as const) sums[key] += of[key];
  const calibration = calibrationOf(scored, sums.gold);
  return {
    ...{ score: score(sums), verdicts },
    perType: Object.fromEntries(
      [...types]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([type, of]) => [type, { ...score(of), verdicts: of.verdicts }]),
    ),
    ...(calibration && { calibration }),
    cuts: cutsOf(scored, sums.gold),
  };
}

function confusionOf(texts: readonly TextErrors[]): Record<string, Record<string, number>> {
  const confusion: Record<string, Record<string, number>> = {};
  for (const { judged, entities } of texts)
    for (const { verdict, gold, predicted } of entities) {
      if (verdict !== 'right' && verdict !== 'type') continue;
      const row = (confusion[judged.gold.entities[gold!].type] ??= {});
      const { type } = judged.predicted.entities[predicted!];
      row[type] = (row[type] ?? 0) + 1;
    }
  return confusion;
}

/** What is wrong more than once in the same way, the most frequent first. */
function frequentOf(texts: readonly TextErrors[]): Frequent[] {
  const found = new Map<string, Frequent>();
  for (const { judged, entities } of texts)
    for (const { verdict, gold, predicted } of entities) {
      if (verdict === 'right') continue;
      const [g, p] = [judged.gold.entities[gold ?? -1], judged.predicted.entities[predicted ?? -1]];
      const { start, end } = g ?? p;
      const one = { text: judged.text.slice(start, end), verdict, gold: g?.type, predicted: p?.type };
      const key = JSON.stringify(one);
      const entry = found.get(key) ?? { ...one, count: 0 };
      entry.count++;
      found.set(key, entry);
    }
  return [...found.values()]
    .filter(({ count }) => count > 1)
    .sort((a, b) => b.count - a.count)
    .slice(0, FREQUENT);
}

/** Compares what was found with the gold, text by text, and counts. */
export function analyse(judgement: Judgement): Analysis {
  const texts = judgement.texts.map((judged): TextErrors => {
    const { gold, predicted } = judged;
    const entities = judgement.given ? [] : matchEntities(gold.entities, predicted.entities);
    const relations = matchRelations(gold, predicted, judgement);
    const { beyond = { entities: [], relations: [] } } = judged;
    const lost = (judgement.given ? 0 : beyond.entities.length) + beyond.relations.length;
    const errors = lost + [...entities, ...relations].filter(({ verdict }) => verdict !== 'right').length;
    return { judged, entities, relations, errors };
  });
  const matchesOf = <V extends string>(of: (text: TextErrors) => readonly Match<V>[]) =>
    texts.map((text) => ({ judged: text.judged, matches: of(text) }));
  const hasRelations = texts.some(
    ({ relations, judged }) => relations.length + (judged.beyond?.relations.length ?? 0) > 0,
  );
  return {
    texts,
    rightTexts: texts.filter(({ errors }) => errors === 0).length,
    ...(!judgement.given && {
      entities: {
        ...kindErrors(
          'entities',
          matchesOf((text) => text.entities),
          'missed',
        ),
        confusion: confusionOf(texts),
        frequent: frequentOf(texts),
      },
    }),
    ...(hasRelations && {
      relations: kindErrors(
        'relations',
        matchesOf((text) => text.relations),
        'endMissed',
      ),
    }),
  };
}

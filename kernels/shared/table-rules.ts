/** What host tables hold that several kernels have, in words (Kernel.tables). */
import type { Kernel } from '../plan.ts';

type Tables = NonNullable<Kernel['tables']>;

/** i32[B], and of a strip that has some of the batch rows alone its part. */
export const lengthsTable: Tables = { lengths: 'the host input lengths, as it is: [B]' };

/** Those of kernels that go strip by strip over batch rows (ScoreStrip). */
export const stripTables: Tables = {
  ...lengthsTable,
  'lengths.<row>': 'the host input lengths of the batch rows of one strip, from number <row> on',
  'key_lengths.<row>.<key>':
    'of each batch row of one strip, from number <row> on, how many of the keys of one tile, which begins at <key>, are ' +
    'within length: min(keys of the tile, max(0, length - <key>))',
  'query_lengths.<row>.<query>':
    'of each batch row of one strip, from number <row> on, how many of its queries, which begin at <query>, are within ' +
    'length: min(queries of the strip, max(0, length - <query>))',
};

/**
 * Those of a sum of rows by target (segmentSum) into `out`.
 * @param target what a target row is
 * @param item what is added there, as an offset in elements
 */
export const segmentTables = (out: string, target: string, item: string): Tables => ({
  [`${out}.items<level>`]:
    `level 0: element offsets of what is added, ${item}, those of a target side by side in the order given; level n: the ` +
    'offsets of the partial sums that level n - 1 made, 0, width, 2 width, …',
  [`${out}.segments<level>`]:
    `rows (target, first, end): row target of ${out}, which is ${target}, takes the sum of items first .. end - 1 of its ` +
    'level; only targets of 64 items or fewer, none of 0 items is left out',
  [`${out}.slabs<level>`]:
    'rows (slab, first, end): targets of more than 64 items in runs of 64, numbered from 0 on; partial sum number slab ' +
    'takes items first .. end - 1, and level + 1 adds the partial sums of a target',
});

/** The split of the rows of a product into parts (weightGradient). */
export const partTables = (out: string): Tables => ({
  [`${out}_rows`]: 'how many of the rows of x each part has: all the same number, the last what is left',
});

/** Relation types that hold in both directions or in none. */
import type { Fields } from './config.ts';

/** Reads `symmetric`, where a configuration has it. Errors: InputError for a type outside `relationTypes`. */
export function parseSymmetric(fields: Fields, relationTypes: readonly string[]): { symmetric?: string[] } {
  if (!fields.has('symmetric')) return {};
  const symmetric = fields.strings('symmetric');
  const unknown = symmetric.find((type) => !relationTypes.includes(type));
  if (unknown !== undefined)
    throw fields.error('symmetric', `may list relationTypes alone (${relationTypes.join(', ')})`, unknown);
  return { symmetric };
}

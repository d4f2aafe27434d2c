/** The models that there are. */
import type { Definition } from './definition.ts';
import { lai } from './lai/definition.ts';
import { cerem } from './prompts/cerem.ts';
import { iser } from './spans/iser.ts';
import { stsn } from './spans/stsn.ts';

export const definitions: readonly Definition[] = [stsn, iser, lai, cerem];

/** The definition of that name, which must be one of the registry's. */
export const definitionNamed = (name: string): Definition =>
  definitions.find((definition) => definition.name === name) as Definition;

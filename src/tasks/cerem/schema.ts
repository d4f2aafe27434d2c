/** What to look for in a text, as data: entity types, relation types by subject type, events, and how to ask. */

/** A relation from entities of one type: the answer to a prompt about each of them. */
export interface RelationQuestion {
  type: string;
  /** What the prompt calls it. */
  name: string;
  /** The entity type of the answers, where the schema says so. */
  object?: string;
}

/** An entity type, or the triggers of an event type: the answers to one prompt. */
export interface EntityQuestion {
  type: string;
  prompt: string;
  /** What is asked about each answer: relations, or the arguments (roles) of an event. */
  relations: RelationQuestion[];
  /** Answers are triggers of events, and `relations` their arguments: they are scored apart. */
  event: boolean;
}

export interface Schema {
  entities: EntityQuestion[];
  /** Template of a relation's prompt: `{subject}` and `{relation}` are filled in (SPEC section 3: `{subject}的{relation}`). */
  relationTemplate: string;
}

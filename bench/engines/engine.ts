/** What the suite runs in: a program or a browser. */
import type { Answer, Asked } from './suite.ts';

/** What an engine answers, and what it is. */
export interface Ran {
  version: string;
  /** What implements WebGPU in it. */
  webgpu: string;
  answer: Answer;
}

export interface Engine {
  name: string;
  driver: string;
  /** Why it cannot run here. */
  missing?: string;
  /** Runs the suite that `buildSuite` wrote to a file. Errors: one line, with what the engine says. */
  run(suite: string, asked: Asked): Promise<Ran>;
}

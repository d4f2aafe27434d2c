/** Rows of a file that cannot be read, or that a model cannot take: told all at once, or left out. */
import { InputError } from '../../kernels/errors.ts';

/** What becomes of them: nothing is done with the file, or they are left out of it. */
export type OnBad = 'stop' | 'skip';
export const onBadChoices: readonly OnBad[] = ['stop', 'skip'];

/** Complaints that are spelt out; more would hide the first. */
const SHOWN = 20;

/** Told of the i-th of several inputs that a model cannot take, and why. */
export type Refused = (i: number, error: InputError) => void;

/** What `make` gives of input i; undefined where it is refused. Throws where nobody is told. */
export function unlessRefused<T>(refused: Refused | undefined, i: number, make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (!refused || !(error instanceof InputError)) throw error;
    refused(i, error);
    return undefined;
  }
}

export class BadRows {
  readonly #complaints: string[] = [];

  /** @param file begins the messages of the rows, and so is said once */
  constructor(
    readonly file: string,
    readonly onBad: OnBad = 'stop',
  ) {}

  get count(): number {
    return this.#complaints.length;
  }

  /** What `read` gives; undefined where it throws an InputError, which is kept. */
  attempt<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      this.add(error);
      return undefined;
    }
  }

  add({ message }: InputError): void {
    const prefix = `${this.file}: `;
    this.#complaints.push(message.startsWith(prefix) ? message.slice(prefix.length) : message);
  }

  /** The kept complaints, `; ` between them, those beyond the first twenty by their row alone. */
  #list(): string {
    const rest = this.#complaints.slice(SHOWN).map((complaint) => complaint.split(': ', 1)[0]);
    const told = this.#complaints.slice(0, SHOWN).join('; ');
    return rest.length === 0 ? told : `${told}; and ${rest.join(', ')}`;
  }

  /** Throws the complaints as one InputError: of a single row as they were. */
  refuse(): never {
    const { count } = this;
    const several = count > 1 ? `${count} bad rows (--on-bad skip leaves them out): ` : '';
    throw new InputError(`${this.file}: ${several}${this.#list()}`);
  }

  /**
   * A note on what is left out, if anything is.
   * @throws InputError with every complaint where bad rows stop a file
   */
  settle(): string[] {
    if (this.count === 0) return [];
    if (this.onBad === 'stop') return this.refuse();
    return [`bad rows, left out: ${this.count} (${this.#list()})`];
  }
}

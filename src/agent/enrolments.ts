import type { EnrollCommand } from './api.ts';
import { StateFileError } from './disk.ts';
import { enrolNode, type EnrolDeps, type Enrolled } from './enrol.ts';
import { LocalRefusal } from './local-server.ts';
import type { NodeIdentity } from './stored.ts';

export interface EnrolmentsDeps extends EnrolDeps {
  /** The node is another one now, or the same with other keys. Both are on disk. */
  readonly enrolled: (enrolled: Enrolled) => void;
}

/** Has the node enrolled when its owner says so: one enrolment at a time, and none by accident over one that is there. */
export class Enrolments {
  readonly #deps: EnrolmentsDeps;
  #isUnderWay = false;

  constructor(deps: EnrolmentsDeps) {
    this.#deps = deps;
  }

  /** Resolves to who the node is now. Rejects with a LocalRefusal that says what to do. */
  async enroll(command: EnrollCommand, signal: AbortSignal): Promise<Pick<NodeIdentity, 'node' | 'mesh'>> {
    const before = this.#deps.identity();
    if (before !== undefined && command.again !== true) {
      const message = `this node is enrolled already, as ${before.node} in mesh ${before.mesh}; --again makes new keys and replaces that`;
      throw new LocalRefusal(409, 'enrolled', message);
    }
    if (this.#isUnderWay) throw new LocalRefusal(409, 'enrolling', 'another enrolment is under way');
    this.#isUnderWay = true;
    try {
      const enrolled = await enrolNode(this.#deps, command, signal);
      this.#deps.enrolled(enrolled);
      const { node, mesh } = enrolled.identity;
      return { node, mesh };
    } catch (error) {
      if (!(error instanceof StateFileError)) throw error;
      const message = `${error.message}; run the same command again when that can be written, it goes on with the same keys`;
      throw new LocalRefusal(500, 'not-written', message, { cause: error });
    } finally {
      this.#isUnderWay = false;
    }
  }
}

/** Waits for conditions. */

import { setTimeout } from 'node:timers/promises';

const DEADLINE_MS = 30_000;
const PAUSE_MS = 50;

/** Asks again and again until the answer is true. */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) {
      throw new Error(`never seen: ${what}`);
    }
    await setTimeout(PAUSE_MS);
  }
}

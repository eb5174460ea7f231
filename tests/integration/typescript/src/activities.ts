/** Activities of the hello-world workflow. */

import { activityInfo } from '@temporalio/activity';

/** Greets. */
export async function greet(name: string): Promise<string> {
  return `Hello, ${name}!`;
}

/** Fails at the first attempt and returns the number of the second. */
export async function failOnce(): Promise<number> {
  const { attempt } = activityInfo();
  if (attempt < 2) {
    throw new Error(`attempt ${attempt}`);
  }
  return attempt;
}

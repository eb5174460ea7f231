/** Activities of the scenarios. */

import { Context, heartbeat } from '@temporalio/activity';

/** Says that it has begun, then waits until it is cancelled. */
export async function waitForCancel(): Promise<void> {
  heartbeat('begun');
  const beats = setInterval(() => heartbeat('waiting'), 50);
  try {
    await Context.current().cancelled;
  } finally {
    clearInterval(beats);
  }
}

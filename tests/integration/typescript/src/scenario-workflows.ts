/** Workflows of the scenarios. */

import {
  ActivityCancellationType,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  defineUpdate,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  proxyActivities,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { defineSearchAttributeKey, type SearchAttributePair } from '@temporalio/common';
import type * as activities from './scenario-activities.ts';

const { waitForCancel } = proxyActivities<typeof activities>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '2 seconds',
  cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
});

export const KEYWORD = 'ConformanceKeyword';
export const addUpdate = defineUpdate<number, [number]>('add');
export const endSignal = defineSignal('end');
export const wordSignal = defineSignal<[string]>('word');
export const sumQuery = defineQuery<number>('sum');
export const failingQuery = defineQuery<number>('failing');

/** Adds up what updates bring, which must be positive, until it is told to end. */
export async function tally(): Promise<number> {
  let sum = 0;
  let over = false;
  setHandler(
    addUpdate,
    (number: number) => {
      if (number > 100) {
        throw ApplicationFailure.nonRetryable('too much', 'TooMuch');
      }
      sum += number;
      return sum;
    },
    {
      validator: (number: number) => {
        if (number < 1) {
          throw new Error(`${number} is not positive`);
        }
      },
    },
  );
  setHandler(sumQuery, () => sum);
  setHandler(failingQuery, () => {
    throw new Error('no answer');
  });
  setHandler(endSignal, () => {
    over = true;
  });
  await condition(() => over);
  return sum;
}

/** Waits for a word and returns it; a cancel request ends it. */
export async function listener(): Promise<string> {
  let said: string | undefined;
  setHandler(wordSignal, (word: string) => {
    said = word;
  });
  await condition(() => said !== undefined);
  return said ?? '';
}

/** Starts a child of each parent-close policy, hears one out, and leaves the others behind. */
export async function parent(): Promise<string> {
  const { workflowId } = workflowInfo();
  const policies = [
    ParentClosePolicy.TERMINATE,
    ParentClosePolicy.REQUEST_CANCEL,
    ParentClosePolicy.ABANDON,
  ];
  for (const parentClosePolicy of policies) {
    await startChild(listener, { workflowId: `${workflowId}-${parentClosePolicy}`, parentClosePolicy });
  }
  const heard = await startChild(listener, { workflowId: `${workflowId}-heard` });
  await heard.signal(wordSignal, 'child');
  return heard.result();
}

/** Returns what a failing child ends with. */
export async function parentOfFailure(): Promise<string> {
  try {
    await executeChild(fails, { workflowId: `${workflowInfo().workflowId}-child` });
  } catch (error) {
    const { name, message, cause } = error as Error;
    return `${name}: ${message}: ${(cause as Error).name}: ${(cause as Error).message}`;
  }
  return 'no failure';
}

/** Fails for good. */
export async function fails(): Promise<void> {
  throw ApplicationFailure.nonRetryable('for good', 'Final');
}

/** Signals one workflow, cancels another, and says what it learns of one that is not there. */
export async function caller(signalled: string, cancelled: string): Promise<string> {
  await getExternalWorkflowHandle(signalled).signal(wordSignal, 'stranger');
  await getExternalWorkflowHandle(cancelled).cancel();
  try {
    await getExternalWorkflowHandle('nobody').signal(wordSignal, 'anyone');
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
  return 'no failure';
}

/** Goes on as new until nothing is left. */
export async function countdown(left: number, seen: string[]): Promise<string[]> {
  const now = [...seen, `${left}`];
  if (left > 0) {
    await continueAsNew<typeof countdown>(left - 1, now);
  }
  return now;
}

/** Waits for an activity, and ends as it does when it is cancelled. */
export async function worksUntilCancelled(): Promise<string> {
  try {
    await waitForCancel();
  } catch (error) {
    if (isCancellation(error)) {
      return CancellationScope.nonCancellable(async () => 'the activity was cancelled');
    }
    throw error;
  }
  return 'the activity ended';
}

/** Collects words until the last one is "end". */
export async function collector(): Promise<string[]> {
  const words: string[] = [];
  setHandler(wordSignal, (word: string) => {
    words.push(word);
  });
  await condition(() => words.at(-1) === 'end');
  return words;
}

/** Changes its search attribute, and waits for its end. */
export async function searchable(value: string): Promise<void> {
  let over = false;
  setHandler(endSignal, () => {
    over = true;
  });
  const key = defineSearchAttributeKey(KEYWORD, 'KEYWORD');
  const pair: SearchAttributePair = { key, value };
  upsertSearchAttributes([pair]);
  await condition(() => over);
}

/** Says which of its runs this is, counting from what the one before has said. */
export async function periodic(): Promise<number> {
  const last = workflowInfo().lastResult as number | undefined;
  return (last ?? 0) + 1;
}

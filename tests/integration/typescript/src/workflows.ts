/** A hello-world workflow that uses what most workflows use. */

import {
  condition,
  defineQuery,
  defineSignal,
  proxyActivities,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import type * as activities from './activities.ts';

const { greet, failOnce } = proxyActivities<typeof activities>({
  startToCloseTimeout: '10 seconds',
  retry: { initialInterval: '100 milliseconds' },
});

export const stageQuery = defineQuery<string>('stage');
export const finishSignal = defineSignal<[string]>('finish');

/** Greets, retries, sleeps, and waits for the signal `finish`. */
export async function hello(name: string): Promise<string[]> {
  const words: string[] = [];
  let finished = false;
  let stage = 'greeting';
  setHandler(stageQuery, () => stage);
  setHandler(finishSignal, (word: string) => {
    words.push(word);
    finished = true;
  });
  words.push(await greet(name));
  words.push(`attempt ${await failOnce()}`);
  await sleep('50 milliseconds');
  stage = 'waiting';
  await condition(() => finished);
  return words;
}

/** Runs the hello-world workflow with a client and a worker, and returns what they saw. */

import { fileURLToPath } from 'node:url';
import { setTimeout } from 'node:timers/promises';
import { Client, type Connection, type WorkflowHandle } from '@temporalio/client';
import { Worker, type NativeConnection } from '@temporalio/worker';
import * as activities from './activities.ts';
import { finishSignal, hello, stageQuery } from './workflows.ts';

const DEADLINE_MS = 30_000;

/** Starts the workflow, queries it, signals it, and returns its result and status. */
export async function sayHello(
  connection: Connection,
  nativeConnection: NativeConnection,
): Promise<object> {
  const taskQueue = `typescript-${process.pid}`;
  const worker = await Worker.create({
    connection: nativeConnection,
    taskQueue,
    activities,
    workflowsPath: fileURLToPath(new URL('./workflows.ts', import.meta.url)),
  });
  const client = new Client({ connection });
  return worker.runUntil(async () => {
    const handle = await client.workflow.start(hello, {
      args: ['TypeScript'],
      taskQueue,
      workflowId: taskQueue,
      memo: { language: 'TypeScript' },
    });
    await untilWaiting(handle);
    await handle.signal(finishSignal, 'bye');
    const result = await handle.result();
    const description = await handle.describe();
    return { result, status: description.status.name, memo: description.memo };
  });
}

async function untilWaiting(handle: WorkflowHandle): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while ((await handle.query(stageQuery)) !== 'waiting') {
    if (Date.now() > deadline) {
      throw new Error('the workflow never waited');
    }
    await setTimeout(20);
  }
}

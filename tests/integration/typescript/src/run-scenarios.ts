/** `node run-scenarios.ts HOST:PORT`: all scenarios at once, with one worker; prints what they saw. */

import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import * as activities from './scenario-activities.ts';
import { SCENARIOS } from './scenarios.ts';

const address = process.argv[2];
const connection = await Connection.connect({ address });
const nativeConnection = await NativeConnection.connect({ address });
const taskQueue = 'scenarios';
const worker = await Worker.create({
  connection: nativeConnection,
  taskQueue,
  activities,
  workflowsPath: fileURLToPath(new URL('./scenario-workflows.ts', import.meta.url)),
});
const environment = { client: new Client({ connection }), taskQueue };
try {
  const saw = await worker.runUntil(
    Promise.all(
      Object.entries(SCENARIOS).map(async ([name, scenario]) => [name, await scenario(environment)]),
    ),
  );
  console.log(JSON.stringify(Object.fromEntries(saw)));
} finally {
  await nativeConnection.close();
  await connection.close();
}

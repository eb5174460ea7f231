/** `node create-local.ts EXECUTABLE`: hello world in the SDK's own test environment. */

import { TestWorkflowEnvironment } from '@temporalio/testing';
import { sayHello } from './hello.ts';

const path = process.argv[2];
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'existing-path', path } },
});
try {
  const { connection, nativeConnection } = environment;
  console.log(JSON.stringify(await sayHello(connection, nativeConnection)));
} finally {
  await environment.teardown();
}

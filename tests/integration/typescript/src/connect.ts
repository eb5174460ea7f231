/** `node connect.ts HOST:PORT`: hello world against a server that runs. */

import { Connection } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { sayHello } from './hello.ts';

const address = process.argv[2];
const connection = await Connection.connect({ address });
const nativeConnection = await NativeConnection.connect({ address });
try {
  console.log(JSON.stringify(await sayHello(connection, nativeConnection)));
} finally {
  await nativeConnection.close();
  await connection.close();
}

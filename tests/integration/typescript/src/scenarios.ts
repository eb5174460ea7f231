/**
 * What the SDK does beyond hello world, a function each. A scenario returns what a user sees and,
 * where that says more, histories as lists of event types; all of it the same on every server.
 */

import { randomUUID } from 'node:crypto';
import {
  type Client,
  ScheduleOverlapPolicy,
  type WorkflowHandle,
  WithStartWorkflowOperation,
  type WorkflowStartOptions,
} from '@temporalio/client';
import { defineSearchAttributeKey, type Workflow } from '@temporalio/common';
import proto from '@temporalio/proto';
import * as workflows from './scenario-workflows.ts';
import { until } from './waiting.ts';

/** The server as a scenario sees it, and the queue of the worker. */
export interface Environment {
  client: Client;
  taskQueue: string;
}

export type Scenario = (environment: Environment) => Promise<object>;

const { EventType } = proto.temporal.api.enums.v1;

async function start<T extends Workflow>(
  { client, taskQueue }: Environment,
  workflow: T,
  workflowId: string,
  ...args: Parameters<T>
): Promise<WorkflowHandle<T>> {
  const options = { taskQueue, workflowId, args } as unknown as WorkflowStartOptions<T>;
  return client.workflow.start(workflow, options);
}

/** Returns the types of a history's events. */
async function history(handle: WorkflowHandle): Promise<string[]> {
  const { events } = await handle.fetchHistory();
  return (events ?? []).map(({ eventType }) => {
    const name = EventType[eventType ?? 0] ?? `${eventType}`;
    return name.replace('EVENT_TYPE_', '');
  });
}

/** Returns the same without workflow tasks, which come sooner or later when much happens at once. */
async function deeds(handle: WorkflowHandle): Promise<string[]> {
  return (await history(handle)).filter((type) => !type.startsWith('WORKFLOW_TASK_'));
}

/** Waits until a worker has done all that there was to do. */
async function settled(handle: WorkflowHandle): Promise<void> {
  await handle.query('__stack_trace');
}

/** Returns the status of a workflow's newest run. */
async function status({ client }: Environment, workflowId: string): Promise<string> {
  const description = await client.workflow.getHandle(workflowId).describe();
  return description.status.name;
}

/** Returns an error with its causes, by names and messages. */
async function errorOf(promise: Promise<unknown>): Promise<string[]> {
  try {
    await promise;
  } catch (error) {
    const seen = [];
    for (let at = error as Error | undefined; at; at = at.cause as Error | undefined) {
      seen.push(`${at.name}: ${at.message}`);
    }
    return seen;
  }
  return ['no error'];
}

async function updates(environment: Environment): Promise<object> {
  const handle = await start(environment, workflows.tally, 'updates');
  await settled(handle);
  const added = await handle.executeUpdate(workflows.addUpdate, { args: [1], updateId: 'one' });
  const again = await handle.executeUpdate(workflows.addUpdate, { args: [1], updateId: 'one' });
  const update = (number: number) => handle.executeUpdate(workflows.addUpdate, { args: [number] });
  const rejected = await errorOf(update(0));
  const failed = await errorOf(update(101));
  const started = await handle.startUpdate(workflows.addUpdate, {
    args: [10],
    waitForStage: 'ACCEPTED',
  });
  const result = await started.result();
  const byId = await handle.getUpdateHandle('one').result();
  await handle.signal(workflows.endSignal);
  const sum = await handle.result();
  const late = await errorOf(update(1));
  return {
    ...{ added, again, rejected, failed, result, byId, sum, late },
    history: await history(handle),
  };
}

async function updatesWithStart(environment: Environment): Promise<object> {
  const { client, taskQueue } = environment;
  const workflowId = 'updates-with-start';
  const add = async (number: number) => {
    const startWorkflowOperation = new WithStartWorkflowOperation(workflows.tally, {
      taskQueue,
      workflowId,
      args: [],
      workflowIdConflictPolicy: 'USE_EXISTING',
    });
    return client.workflow.executeUpdateWithStart(workflows.addUpdate, {
      args: [number],
      startWorkflowOperation,
    });
  };
  const results = [await add(1), await add(2)];
  const rejected = await errorOf(add(0));
  const handle = client.workflow.getHandle<typeof workflows.tally>(workflowId);
  await handle.signal(workflows.endSignal);
  return { results, rejected, sum: await handle.result(), history: await history(handle) };
}

async function children(environment: Environment): Promise<object> {
  const handle = await start(environment, workflows.parent, 'parent');
  const result = await handle.result();
  const ended = async (policy: string, expected: string) => {
    const name = `parent-${policy}`;
    await until(`${name} ${expected}`, async () => (await status(environment, name)) === expected);
    return deeds(environment.client.workflow.getHandle(name));
  };
  const failing = await start(environment, workflows.parentOfFailure, 'parent-of-failure');
  return {
    result,
    deeds: await deeds(handle),
    terminated: await ended('TERMINATE', 'TERMINATED'),
    cancelled: await ended('REQUEST_CANCEL', 'CANCELLED'),
    abandoned: await ended('ABANDON', 'RUNNING'),
    heard: await ended('heard', 'COMPLETED'),
    failure: await failing.result(),
  };
}

async function strangers(environment: Environment): Promise<object> {
  const signalled = await start(environment, workflows.listener, 'signalled');
  const cancelled = await start(environment, workflows.listener, 'cancelled');
  await settled(signalled);
  const caller = await start(environment, workflows.caller, 'caller', 'signalled', 'cancelled');
  return {
    failure: await caller.result(),
    heard: await signalled.result(),
    cancelled: await errorOf(cancelled.result()),
    history: await history(signalled),
  };
}

async function continuations(environment: Environment): Promise<object> {
  const handle = await start(environment, workflows.countdown, 'countdown', 2, []);
  const result = await handle.result();
  const { client } = environment;
  const first = client.workflow.getHandle('countdown', handle.firstExecutionRunId);
  return {
    result,
    first: [(await first.describe()).status.name, await history(first)],
    last: await history(client.workflow.getHandle('countdown')),
    unfollowed: await errorOf(
      client.workflow
        .getHandle('countdown', handle.firstExecutionRunId, { followRuns: false })
        .result(),
    ),
  };
}

async function cancellation(environment: Environment): Promise<object> {
  const handle = await start(environment, workflows.worksUntilCancelled, 'cancellation');
  await until('a heartbeat', async () => {
    const { raw } = await handle.describe();
    return Boolean(raw.pendingActivities?.[0]?.heartbeatDetails);
  });
  await handle.cancel();
  return { result: await handle.result(), history: await history(handle) };
}

async function queries(environment: Environment): Promise<object> {
  const handle = await start(environment, workflows.tally, 'queries');
  const before = await handle.query(workflows.sumQuery);
  const failing = await errorOf(handle.query(workflows.failingQuery));
  const unknown = (await errorOf(handle.query('nothing')))[0]?.split(':')[0];
  await handle.executeUpdate(workflows.addUpdate, { args: [5] });
  const after = await handle.query(workflows.sumQuery);
  await handle.signal(workflows.endSignal);
  await handle.result();
  const closed = await handle.query(workflows.sumQuery);
  const missing = await errorOf(environment.client.workflow.getHandle('missing').query('sum'));
  return { before, failing, unknown, after, closed, missing, history: await history(handle) };
}

async function schedules({ client, taskQueue }: Environment): Promise<object> {
  const handle = await client.schedule.create({
    scheduleId: 'schedule',
    spec: { intervals: [{ every: '1 hour', offset: '10 minutes' }] },
    action: {
      type: 'startWorkflow',
      workflowType: workflows.tally,
      workflowId: 'scheduled',
      taskQueue,
      args: [],
    },
    policies: { overlap: ScheduleOverlapPolicy.BUFFER_ONE, catchupWindow: '1 day' },
    state: { paused: true, note: 'not yet' },
  });
  const created = await handle.describe();
  await handle.unpause('go');
  await handle.trigger(ScheduleOverlapPolicy.SKIP);
  await until('an action', async () => (await handle.describe()).info.runningActions.length === 1);
  const running = await handle.describe();
  await handle.update(({ spec, ...previous }) => ({
    ...previous,
    spec: { intervals: [{ every: '2 hours' }] },
  }));
  const updated = await handle.describe();
  const [action] = running.info.runningActions;
  const workflow = client.workflow.getHandle<typeof workflows.tally>(action.workflow.workflowId);
  await settled(workflow);
  await workflow.signal(workflows.endSignal);
  await workflow.result();
  await until('its end', async () => (await handle.describe()).info.runningActions.length === 0);
  const unknown = await errorOf(client.schedule.getHandle('other').describe());
  await handle.delete();
  return {
    created: [created.state, created.policies, created.spec.intervals, created.action.type],
    next: created.info.nextActionTimes.length,
    running: [running.state, running.info.numActionsTaken, running.info.recentActions.length],
    name: action.workflow.workflowId.replace(/-.*/, ''),
    updated: updated.spec.intervals,
    unknown,
    deleted: await errorOf(handle.describe()),
    history: await history(workflow),
  };
}

async function resets(environment: Environment): Promise<object> {
  const { client } = environment;
  const handle = await start(environment, workflows.collector, 'reset');
  await settled(handle);
  await handle.signal(workflows.wordSignal, 'kept');
  await settled(handle);
  const { runId } = await client.workflowService.resetWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: 'reset' },
    reason: 'once more',
    workflowTaskFinishEventId: 4,
    requestId: randomUUID(),
  });
  const base = client.workflow.getHandle('reset', handle.firstExecutionRunId);
  const again = client.workflow.getHandle<typeof workflows.collector>('reset', runId);
  await settled(again);
  await again.signal(workflows.wordSignal, 'end');
  return {
    result: await again.result(),
    base: [(await base.describe()).status.name, await history(base)],
    reset: await history(again),
  };
}

async function searches(environment: Environment): Promise<object> {
  const { client, taskQueue } = environment;
  const key = defineSearchAttributeKey(workflows.KEYWORD, 'KEYWORD');
  const starts = ['red', 'green', 'green'].map((value, number) =>
    client.workflow.start(workflows.searchable, {
      taskQueue,
      workflowId: `search-${number}`,
      args: [`${value}-now`],
      typedSearchAttributes: [{ key, value }],
    }),
  );
  const handles = await Promise.all(starts);
  const mine = `WorkflowType = 'searchable'`;
  const count = async (query: string) => (await client.workflow.count(query)).count;
  const green = `${mine} AND ${workflows.KEYWORD} = 'green-now'`;
  await until('both green ones', async () => (await count(green)) === 2);
  await handles[1]?.signal(workflows.endSignal);
  await handles[1]?.result();
  const running = `${green} AND ExecutionStatus = 'Running'`;
  await until('one that runs', async () => (await count(running)) === 1);
  const listed = [];
  for await (const each of client.workflow.list({ query: running })) {
    listed.push([each.workflowId, each.type, each.status.name, each.searchAttributes[workflows.KEYWORD]]);
  }
  const { groups } = await client.workflow.count(`${mine} GROUP BY ExecutionStatus`);
  const invalid = await errorOf(client.workflow.count(`${mine} AND Nothing = 1`));
  return {
    listed,
    groups: groups.map((group) => [group.groupValues, group.count]).sort(),
    invalid,
    history: await history(client.workflow.getHandle('search-1')),
  };
}

async function crons(environment: Environment): Promise<object> {
  const { client, taskQueue } = environment;
  const handle = await client.workflow.start(workflows.periodic, {
    taskQueue,
    workflowId: 'cron',
    cronSchedule: '@every 1s',
  });
  const first = client.workflow.getHandle('cron', handle.firstExecutionRunId, { followRuns: false });
  const unfollowed = await errorOf(first.result());
  await client.workflow.getHandle('cron').terminate('enough');
  return { unfollowed, status: (await first.describe()).status.name, history: await history(first) };
}

export const SCENARIOS: Record<string, Scenario> = {
  ...{ updates, updatesWithStart, children, strangers, continuations, cancellation },
  ...{ queries, schedules, resets, searches, crons },
};

// One member of a group with KafkaJS, told by a JSON argument what to be and by lines of stdin what to do.
// Its events are lines of JSON on stdout; see tests/interop/groups/events.py.
'use strict'

const readline = require('node:readline')
const { Kafka, PartitionAssigners, logLevel } = require('kafkajs')

const spec = JSON.parse(process.argv[2])
const say = (event, fields = {}) =>
  process.stdout.write(
    `${JSON.stringify({ t: (performance.timeOrigin + performance.now()) / 1000, event, ...fields })}\n`,
  )

const kafka = new Kafka({ brokers: [spec.bootstrap], clientId: spec.client, logLevel: logLevel.NOTHING })
const consumer = kafka.consumer({
  groupId: spec.group,
  partitionAssigners: [PartitionAssigners.roundRobin],
  sessionTimeout: spec.session_ms,
  heartbeatInterval: spec.heartbeat_ms,
  rebalanceTimeout: spec.max_poll_ms,
  maxWaitTimeInMs: 100,
  metadataMaxAge: 5000,
})

let owned = []
let napMs = 0
let closing = false

const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

// KafkaJS has no listener: it tells of a rebalance before it joins again, and of each assignment.
const revoke = event => {
  if (owned.length > 0) say(event, { partitions: owned })
  owned = []
}
consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
  revoke('lost') // joined again without having been told of a rebalance: the group had forgotten it
  owned = Object.entries(payload.memberAssignment).flatMap(([topic, partitions]) =>
    partitions.map(partition => [topic, partition]),
  )
  say('assigned', { partitions: owned })
})
consumer.on(consumer.events.REBALANCING, () => revoke('revoked'))
consumer.on(consumer.events.CRASH, ({ payload }) => {
  say('crash', { error: String(payload.error) })
  revoke('lost')
  // KafkaJS does not go on by itself when a commit in a handler hears that the group has forgotten the member:
  // applications begin anew, and so does this one.
  if (!payload.restart && !closing) begin().catch(fail)
})

const eachBatch = async ({ batch, resolveOffset, heartbeat, isStale, isRunning }) => {
  if (batch.isEmpty() || isStale() || !isRunning()) return
  if (napMs > 0) {
    const ms = napMs
    napMs = 0
    say('sleeping')
    await sleep(ms)
    say('woke')
    await heartbeat() // throws if the group has gone on without this member: nothing is processed
  }
  const { topic, partition, messages } = batch
  const first = Number(messages[0].offset)
  const last = Number(messages[messages.length - 1].offset)
  if (!owned.some(([t, p]) => t === topic && p === partition)) return
  say('records', { topic, partition, first, last, count: messages.length })
  try {
    await consumer.commitOffsets([{ topic, partition, offset: String(last + 1) }])
  } catch (error) {
    say('commit_failed', { error: String(error) })
    throw error
  }
  say('committed', { offsets: [[topic, partition, last + 1]] })
  resolveOffset(String(last))
  await heartbeat()
}

const close = async () => {
  if (closing) return
  closing = true
  await consumer.disconnect()
  revoke('revoked')
  say('closed')
  process.exit(0)
}

// Some times over: a topic that was made a moment ago may not be known to every thread of a broker yet, and the
// sockets of a consumer that crashed are closed a little later than it says so.
const begin = async () => {
  for (let attempt = 1; ; attempt++) {
    try {
      await consumer.connect()
      await consumer.subscribe({ topics: spec.topics, fromBeginning: true })
      await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch })
      return
    } catch (error) {
      if (attempt === 10) throw error
      await sleep(200)
      await consumer.disconnect()
    }
  }
}

const main = async () => {
  say('started')
  await begin()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === 'close') await close()
    if (line.startsWith('sleep ')) napMs = Number(line.slice(6)) * 1000
  }
  await close()
}

const fail = error => {
  say('error', { error: String(error) })
  process.exit(1)
}

main().catch(fail)

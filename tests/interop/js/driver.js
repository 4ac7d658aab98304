// KafkaJS behind lines of JSON: {"op": NAME, ...} in, {"ok": VALUE} or {"error": TEXT} out.
// KafkaJS consumes in groups only, so what it reads here are offsets, by position and by timestamp.
'use strict'

const readline = require('node:readline')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = require('kafkajs')
const SnappyCodec = require('kafkajs-snappy')

CompressionCodecs[CompressionTypes.Snappy] = SnappyCodec

const kafka = new Kafka({ brokers: [process.argv[2]], clientId: 'interop', logLevel: logLevel.NOTHING })
const codecs = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy }
const bytes = text => (text === null ? null : Buffer.from(text, 'base64'))

const withAdmin = async work => {
  const admin = kafka.admin()
  await admin.connect()
  try {
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}

// One header name may carry several values: an array, which KafkaJS writes in order.
const headersOf = pairs => {
  const headers = {}
  for (const [name, value] of pairs) (headers[name] ??= []).push(bytes(value))
  return headers
}

const ops = {
  create: q =>
    withAdmin(async admin => {
      const created = await admin.createTopics({
        waitForLeaders: true,
        topics: [
          {
            topic: q.topic,
            numPartitions: q.partitions,
            replicationFactor: 1,
            configEntries: Object.entries(q.configs).map(([name, value]) => ({ name, value })),
          },
        ],
      })
      if (!created) throw new Error('the topic exists already')
    }),
  delete: q => withAdmin(admin => admin.deleteTopics({ topics: [q.topic] })),
  topics: () => withAdmin(admin => admin.listTopics()),
  describe: q =>
    withAdmin(async admin => {
      const reply = await admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: q.topic }],
      })
      return Object.fromEntries(reply.resources[0].configEntries.map(e => [e.configName, e.configValue]))
    }),
  alter: q =>
    withAdmin(admin =>
      admin.alterConfigs({
        validateOnly: false,
        resources: [
          { type: ConfigResourceTypes.TOPIC, name: q.topic, configEntries: [{ name: q.name, value: q.value }] },
        ],
      }),
    ),
  offsets: q =>
    withAdmin(async admin => {
      const found =
        q.timestamp === null
          ? await admin.fetchTopicOffsets(q.topic)
          : await admin.fetchTopicOffsetsByTimestamp(q.topic, q.timestamp)
      return found.map(p => [p.partition, Number(p.offset)]).sort((a, b) => a[0] - b[0])
    }),
  produce: async q => {
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    try {
      await producer.send({
        topic: q.topic,
        acks: -1,
        compression: codecs[q.codec],
        messages: q.records.map(r => ({
          partition: r.partition,
          key: bytes(r.key),
          value: bytes(r.value),
          timestamp: String(r.timestamp),
          headers: headersOf(r.headers),
        })),
      })
    } finally {
      await producer.disconnect()
    }
    return null
  },
}

const main = async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    let reply
    try {
      const request = JSON.parse(line)
      reply = { ok: (await ops[request.op](request)) ?? null }
    } catch (error) {
      reply = { error: String(error) }
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  }
}

main()

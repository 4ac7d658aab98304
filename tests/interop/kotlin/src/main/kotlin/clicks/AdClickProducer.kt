@file:Suppress("DEPRECATION", "removal")

package clicks

import org.apache.kafka.clients.producer.KafkaProducer
import org.apache.kafka.clients.producer.ProducerConfig
import org.apache.kafka.clients.producer.ProducerRecord
import org.apache.kafka.common.serialization.StringSerializer
import org.springframework.kafka.support.serializer.JsonSerializer

/** Sends clicks one at a time and waits for each: arguments are bootstrap, topic, count. */
object AdClickProducer {
    @JvmStatic
    fun main(args: Array<String>) {
        val (bootstrap, topic, count) = args
        val config = mapOf<String, Any>(
            ProducerConfig.BOOTSTRAP_SERVERS_CONFIG to bootstrap,
            ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG to StringSerializer::class.java,
            ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG to JsonSerializer::class.java,
            ProducerConfig.ACKS_CONFIG to "all",
        )
        KafkaProducer<String, AdClick>(config).use { producer ->
            repeat(count.toInt()) { number ->
                val click = clickOf(number, System.currentTimeMillis())
                val sent = producer.send(ProducerRecord(topic, click.userId, click)).get()
                println("""SENT {"number":$number,"partition":${sent.partition()},"offset":${sent.offset()},"timestamp":${sent.timestamp()},"keyBytes":${sent.serializedKeySize()},"valueBytes":${sent.serializedValueSize()}}""")
            }
        }
    }
}

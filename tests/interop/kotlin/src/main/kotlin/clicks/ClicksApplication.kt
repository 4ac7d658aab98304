package clicks

import org.apache.kafka.clients.admin.NewTopic
import org.apache.kafka.clients.consumer.Consumer
import org.apache.kafka.common.TopicPartition
import org.springframework.beans.factory.annotation.Value
import org.springframework.boot.CommandLineRunner
import org.springframework.boot.autoconfigure.SpringBootApplication
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty
import org.springframework.boot.runApplication
import org.springframework.context.annotation.Bean
import org.springframework.context.annotation.Configuration
import org.springframework.kafka.annotation.KafkaListener
import org.springframework.kafka.config.ContainerCustomizer
import org.springframework.kafka.config.TopicBuilder
import org.springframework.kafka.core.KafkaTemplate
import org.springframework.kafka.listener.ConcurrentMessageListenerContainer
import org.springframework.kafka.listener.ConsumerAwareRebalanceListener
import org.springframework.kafka.support.KafkaHeaders
import org.springframework.messaging.handler.annotation.Header
import org.springframework.messaging.handler.annotation.Payload
import org.springframework.stereotype.Component
import java.util.concurrent.CountDownLatch

/**
 * Clicks through Spring Kafka. `--clicks.role=publisher` sends `clicks.count` of them from
 * `clicks.first` on and ends; `--clicks.role=listener` consumes until it is stopped.
 */
@SpringBootApplication
class ClicksApplication

fun main(args: Array<String>) {
    runApplication<ClicksApplication>(*args)
}

/** One line a happening, for whoever reads our output. */
private fun tell(what: String, vararg fields: Pair<String, Any?>) {
    val body = fields.joinToString(",") { (name, value) ->
        "\"$name\":" + if (value is String) "\"$value\"" else "$value"
    }
    println("$what {$body}")
}

@Configuration
class Topics {
    @Bean
    fun clicks(@Value("\${clicks.topic}") topic: String): NewTopic =
        TopicBuilder.name(topic).partitions(6).replicas(1).build()
}

@Component
@ConditionalOnProperty("clicks.role", havingValue = "publisher")
class ClickPublisher(
    private val template: KafkaTemplate<String, AdClick>,
    @Value("\${clicks.topic}") private val topic: String,
    @Value("\${clicks.first}") private val first: Int,
    @Value("\${clicks.count}") private val count: Int,
) : CommandLineRunner {
    override fun run(vararg args: String) {
        val open = CountDownLatch(count)
        for (number in first until first + count) {
            val click = clickOf(number, System.currentTimeMillis())
            template.send(topic, click.userId, click).whenComplete { result, failure ->
                if (failure != null) {
                    tell("FAILED", "number" to number, "error" to failure.toString())
                } else {
                    val to = result.recordMetadata
                    tell(
                        "SENT",
                        "number" to result.producerRecord.value().number,
                        "topic" to to.topic(),
                        "partition" to to.partition(),
                        "offset" to to.offset(),
                        "timestamp" to to.timestamp(),
                    )
                }
                open.countDown()
            }
        }
        template.flush()
        open.await()
    }
}

@Component
@ConditionalOnProperty("clicks.role", havingValue = "listener")
class ClickListener {
    @KafkaListener(
        id = "clicks",
        groupId = "\${clicks.group}",
        topics = ["\${clicks.topic}"],
        concurrency = "3",
    )
    fun on(
        @Payload click: AdClick,
        @Header(KafkaHeaders.RECEIVED_PARTITION) partition: Int,
        @Header(KafkaHeaders.OFFSET) offset: Long,
        @Header(KafkaHeaders.RECEIVED_KEY) key: String,
    ) {
        check(key == click.userId) { "the key of click ${click.number} is $key" }
        tell(
            "CLICK",
            "number" to click.number,
            "partition" to partition,
            "offset" to offset,
            "campaign" to click.campaign,
            "costMicros" to click.costMicros,
        )
    }
}

@Component
class Rebalances : ConsumerAwareRebalanceListener {
    override fun onPartitionsAssigned(consumer: Consumer<*, *>, partitions: Collection<TopicPartition>) {
        val committed = consumer.committed(partitions.toSet())
        for (partition in partitions) {
            tell("ASSIGNED", "partition" to partition.partition(), "committed" to committed[partition]?.offset())
        }
    }

    override fun onPartitionsRevokedAfterCommit(consumer: Consumer<*, *>, partitions: Collection<TopicPartition>) {
        val committed = consumer.committed(partitions.toSet())
        for (partition in partitions) {
            tell("REVOKED", "partition" to partition.partition(), "committed" to committed[partition]?.offset())
        }
    }

    override fun onPartitionsLost(consumer: Consumer<*, *>, partitions: Collection<TopicPartition>) {
        for (partition in partitions) tell("LOST", "partition" to partition.partition())
    }
}

@Configuration
class Containers {
    /** Every listener container tells of its rebalances. */
    @Bean
    fun tellOfRebalances(listener: Rebalances) =
        ContainerCustomizer<String, AdClick, ConcurrentMessageListenerContainer<String, AdClick>> {
            it.containerProperties.setConsumerRebalanceListener(listener)
        }
}

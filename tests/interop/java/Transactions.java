import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java transactional producer: behind lines of JSON ({"op": NAME, "producer": NAME, ...} in,
 * {"ok": VALUE} or {"error": NAME} out), or as a program that copies one topic into another, one
 * transaction a poll, until it is killed.
 */
public class Transactions {
    private static final ObjectMapper JSON = new ObjectMapper();

    private static KafkaProducer<String, String> producer(String bootstrap, String id, int timeoutMs) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("transactional.id", id);
        settings.put("transaction.timeout.ms", timeoutMs);
        settings.put("max.block.ms", 30000);
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    private static String name(Throwable e) {
        Throwable cause = e instanceof ExecutionException ? e.getCause() : e;
        Errors error = Errors.forException(cause);
        if (error == Errors.UNKNOWN_SERVER_ERROR && cause.getCause() != null) {
            error = Errors.forException(cause.getCause());
        }
        return error == Errors.UNKNOWN_SERVER_ERROR ? cause.toString() : error.name();
    }

    private static JsonNode perform(
        Map<String, KafkaProducer<String, String>> producers, String bootstrap, JsonNode q
    ) throws Exception {
        String who = q.get("producer").asText();
        KafkaProducer<String, String> producer = producers.get(who);
        switch (q.get("op").asText()) {
            case "open":
                producers.put(who, producer(bootstrap, q.get("id").asText(), q.get("timeout").asInt()));
                break;
            case "init":
                producer.initTransactions();
                break;
            case "begin":
                producer.beginTransaction();
                break;
            case "send":
                return JSON.valueToTree(producer.send(new ProducerRecord<>(
                    q.get("topic").asText(), q.get("partition").asInt(), null, q.get("value").asText()
                )).get().offset());
            case "offsets":
                producer.sendOffsetsToTransaction(
                    Map.of(
                        new TopicPartition(q.get("topic").asText(), q.get("partition").asInt()),
                        new OffsetAndMetadata(q.get("offset").asLong())
                    ),
                    new ConsumerGroupMetadata(q.get("group").asText())
                );
                break;
            case "commit":
                producer.commitTransaction();
                break;
            case "abort":
                producer.abortTransaction();
                break;
            case "close":
                producers.remove(who).close(Duration.ofSeconds(5));
                break;
            default:
                throw new IllegalArgumentException(q.toString());
        }
        return JSON.getNodeFactory().nullNode();
    }

    private static void drive(String bootstrap) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        Map<String, KafkaProducer<String, String>> producers = new HashMap<>();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode reply = JSON.createObjectNode();
            try {
                reply.set("ok", perform(producers, bootstrap, JSON.readTree(line)));
            } catch (KafkaException | ExecutionException | IllegalStateException e) {
                reply.put("error", name(e));
            }
            out.println(reply);
            out.flush();
        }
        System.exit(0);
    }

    /** Copies; every record is written as PARTITION:OFFSET:VALUE, so that a copy too many shows. */
    private static void copy(String bootstrap, String from, String to, String group, String id, String protocol) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("group.protocol", protocol);
        settings.put("enable.auto.commit", false);
        settings.put("auto.offset.reset", "earliest");
        settings.put("isolation.level", "read_committed");
        settings.put("max.poll.records", 20);
        if (protocol.equals("classic")) settings.put("session.timeout.ms", 6000);
        try (
            KafkaProducer<String, String> producer = producer(bootstrap, id, 10000);
            KafkaConsumer<String, String> consumer =
                new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())
        ) {
            producer.initTransactions();
            System.out.println("READY");
            consumer.subscribe(List.of(from));
            int transactions = 0;
            while (true) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                if (records.isEmpty()) continue;
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (ConsumerRecord<String, String> record : records) {
                    String value = record.partition() + ":" + record.offset() + ":" + record.value();
                    producer.send(new ProducerRecord<>(to, record.key(), value));
                    offsets.put(
                        new TopicPartition(from, record.partition()),
                        new OffsetAndMetadata(record.offset() + 1)
                    );
                }
                try {
                    producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                    producer.commitTransaction();
                } catch (ProducerFencedException e) {
                    throw e;
                } catch (KafkaException e) {
                    // Another member has the partitions by now: what was read is read again by it.
                    producer.abortTransaction();
                    for (TopicPartition one : consumer.assignment()) {
                        OffsetAndMetadata committed = consumer.committed(java.util.Set.of(one)).get(one);
                        if (committed == null) consumer.seekToBeginning(List.of(one));
                        else consumer.seek(one, committed.offset());
                    }
                    continue;
                }
                System.out.println("COPIED " + ++transactions);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        if (args.length == 1) drive(args[0]);
        else copy(args[0], args[1], args[2], args[3], args[4], args[5]);
    }
}

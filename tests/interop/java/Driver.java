import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The Java client behind lines of JSON: {"op": NAME, ...} in, {"ok": VALUE} or {"error": TEXT} out. */
public class Driver {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** Any value as its JSON text in UTF-8. */
    public static final class JsonSerializer<T> implements Serializer<T> {
        @Override
        public byte[] serialize(String topic, T data) {
            try {
                return data == null ? null : JSON.writeValueAsBytes(data);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }

    private final String bootstrap;

    private Driver(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    private static byte[] bytes(JsonNode text) {
        return text == null || text.isNull() ? null : Base64.getDecoder().decode(text.asText());
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(bytes);
    }

    private Map<String, Object> settings() {
        Map<String, Object> map = new HashMap<>();
        map.put("bootstrap.servers", bootstrap);
        return map;
    }

    private Admin admin() {
        return Admin.create(settings());
    }

    private JsonNode create(JsonNode q) throws Exception {
        try (Admin admin = admin()) {
            Map<String, String> configs = new HashMap<>();
            q.get("configs").fields().forEachRemaining(e -> configs.put(e.getKey(), e.getValue().asText()));
            NewTopic topic = new NewTopic(q.get("topic").asText(), q.get("partitions").asInt(), (short) 1);
            admin.createTopics(List.of(topic.configs(configs))).all().get();
        }
        return JSON.nullNode();
    }

    private JsonNode delete(JsonNode q) throws Exception {
        try (Admin admin = admin()) {
            admin.deleteTopics(List.of(q.get("topic").asText())).all().get();
        }
        return JSON.nullNode();
    }

    private JsonNode topics(JsonNode q) throws Exception {
        try (Admin admin = admin()) {
            return JSON.valueToTree(admin.listTopics().names().get());
        }
    }

    private JsonNode describe(JsonNode q) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, q.get("topic").asText());
        ObjectNode out = JSON.createObjectNode();
        try (Admin admin = admin()) {
            for (ConfigEntry e : admin.describeConfigs(List.of(resource)).all().get().get(resource).entries())
                out.put(e.name(), e.value());
        }
        return out;
    }

    private JsonNode alter(JsonNode q) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, q.get("topic").asText());
        ConfigEntry entry = new ConfigEntry(q.get("name").asText(), q.get("value").asText());
        try (Admin admin = admin()) {
            admin.incrementalAlterConfigs(
                Map.of(resource, List.of(new AlterConfigOp(entry, AlterConfigOp.OpType.SET)))).all().get();
        }
        return JSON.nullNode();
    }

    private JsonNode produce(JsonNode q) throws Exception {
        Map<String, Object> settings = settings();
        settings.put("acks", "all");
        settings.put("enable.idempotence", true);
        settings.put("compression.type", q.get("codec").asText());
        settings.put("linger.ms", 20);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (JsonNode r : q.get("records")) {
                List<Header> headers = new ArrayList<>();
                for (JsonNode h : r.get("headers")) headers.add(new RecordHeader(h.get(0).asText(), bytes(h.get(1))));
                sent.add(producer.send(new ProducerRecord<>(q.get("topic").asText(), r.get("partition").asInt(),
                    r.get("timestamp").asLong(), bytes(r.get("key")), bytes(r.get("value")), headers)));
            }
        }
        ArrayNode offsets = JSON.createArrayNode();
        for (Future<RecordMetadata> f : sent) offsets.add(f.get().offset());
        return offsets;
    }

    /** What an application does: a typed event, a JsonSerializer, acks=all, and get() on each. */
    private JsonNode produceJson(JsonNode q) throws Exception {
        Map<String, Object> settings = settings();
        settings.put("acks", "all");
        ArrayNode offsets = JSON.createArrayNode();
        try (KafkaProducer<String, JsonNode> producer =
                 new KafkaProducer<>(settings, new StringSerializer(), new JsonSerializer<JsonNode>())) {
            for (JsonNode event : q.get("events")) {
                RecordMetadata m = producer.send(
                    new ProducerRecord<>(q.get("topic").asText(), event.get("id").asText(), event)).get();
                offsets.addArray().add(m.partition()).add(m.offset());
            }
        }
        return offsets;
    }

    private JsonNode consume(JsonNode q) {
        Map<String, Object> settings = settings();
        settings.put("enable.auto.commit", false);
        ArrayNode out = JSON.createArrayNode();
        try (KafkaConsumer<byte[], byte[]> consumer =
                 new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            q.get("topics").fields().forEachRemaining(e -> {
                for (int p = 0; p < e.getValue().asInt(); p++) partitions.add(new TopicPartition(e.getKey(), p));
            });
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            consumer.assign(partitions);
            if (q.get("timestamp").isNull()) {
                consumer.seekToBeginning(partitions);
            } else {
                Map<TopicPartition, Long> times = new HashMap<>();
                for (TopicPartition p : partitions) times.put(p, q.get("timestamp").asLong());
                for (Map.Entry<TopicPartition, OffsetAndTimestamp> e : consumer.offsetsForTimes(times).entrySet())
                    consumer.seek(e.getKey(), e.getValue() == null ? ends.get(e.getKey()) : e.getValue().offset());
            }
            List<TopicPartition> open = new ArrayList<>(partitions);
            long deadline = System.nanoTime() + 30_000_000_000L;
            while (true) {
                open.removeIf(p -> consumer.position(p) >= ends.get(p));
                if (open.isEmpty()) break;
                if (System.nanoTime() > deadline) throw new IllegalStateException("no end of " + open);
                for (ConsumerRecord<byte[], byte[]> r : consumer.poll(Duration.ofMillis(200))) {
                    ObjectNode node = out.addObject();
                    node.put("topic", r.topic()).put("partition", r.partition()).put("offset", r.offset());
                    node.put("timestamp", r.timestamp()).put("key", text(r.key())).put("value", text(r.value()));
                    ArrayNode headers = node.putArray("headers");
                    for (Header h : r.headers()) headers.addArray().add(h.key()).add(text(h.value()));
                }
            }
        }
        return out;
    }

    private JsonNode answer(JsonNode q) throws Exception {
        return switch (q.get("op").asText()) {
            case "create" -> create(q);
            case "delete" -> delete(q);
            case "topics" -> topics(q);
            case "describe" -> describe(q);
            case "alter" -> alter(q);
            case "produce" -> produce(q);
            case "produce_json" -> produceJson(q);
            case "consume" -> consume(q);
            default -> throw new IllegalArgumentException(q.get("op").asText());
        };
    }

    public static void main(String[] args) throws Exception {
        Driver driver = new Driver(args[0]);
        PrintStream replies = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = requests.readLine()) != null; ) {
            ObjectNode reply = JSON.createObjectNode();
            try {
                reply.set("ok", driver.answer(JSON.readTree(line)));
            } catch (Exception e) {
                reply.put("error", e.toString());
            }
            replies.println(JSON.writeValueAsString(reply));
        }
    }
}

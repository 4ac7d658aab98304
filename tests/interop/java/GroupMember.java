import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * One member of a group, told by a JSON argument what to be and by lines of stdin what to do; its
 * events are lines of JSON on stdout (see tests/interop/groups/events.py).
 *
 * <p>Per partition it keeps a state (how many records, and the sum of their CRCs) in the way of an
 * application with a store of its own: restored and sought to when the partition is assigned,
 * persisted when it is revoked, thrown away when it is lost.
 */
public class GroupMember implements ConsumerRebalanceListener {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    /** What has been folded of one partition so far; ``next`` is the first offset not in it. */
    private static final class State {
        long next;
        long count;
        long sum;
    }

    private final JsonNode spec;
    private final Path stateDirectory;
    private final KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, State> states = new HashMap<>();
    private final BlockingQueue<String> commands = new LinkedBlockingQueue<>();

    private GroupMember(JsonNode spec) {
        this.spec = spec;
        this.stateDirectory = Path.of(spec.get("state_dir").asText());
        this.consumer = new KafkaConsumer<>(settings(), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private Map<String, Object> settings() {
        Map<String, Object> map = new HashMap<>();
        map.put("bootstrap.servers", spec.get("bootstrap").asText());
        map.put("group.id", spec.get("group").asText());
        map.put("client.id", spec.get("client").asText());
        map.put("enable.auto.commit", false);
        map.put("auto.offset.reset", "earliest");
        map.put("metadata.max.age.ms", 1000);
        map.put("fetch.max.wait.ms", 100);
        map.put("max.poll.records", 100);
        map.put("max.poll.interval.ms", spec.get("max_poll_ms").asInt());
        if (!spec.get("instance").isNull()) map.put("group.instance.id", spec.get("instance").asText());
        map.put("group.protocol", spec.get("protocol").asText());
        String assignor = spec.get("assignor").asText();
        if (spec.get("protocol").asText().equals("classic")) {
            map.put("session.timeout.ms", spec.get("session_ms").asInt());
            map.put("heartbeat.interval.ms", spec.get("heartbeat_ms").asInt());
            map.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + switch (assignor) {
                case "range" -> "RangeAssignor";
                case "roundrobin" -> "RoundRobinAssignor";
                case "sticky" -> "StickyAssignor";
                case "cooperative-sticky" -> "CooperativeStickyAssignor";
                default -> throw new IllegalArgumentException(assignor);
            });
        } else {
            map.put("group.remote.assignor", assignor);
        }
        return map;
    }

    private static ObjectNode event(String name) {
        Instant now = Instant.now();
        ObjectNode node = JSON.createObjectNode();
        return node.put("t", now.getEpochSecond() + now.getNano() / 1e9).put("event", name);
    }

    private static void say(ObjectNode event) {
        OUT.println(event.toString());
    }

    private static void say(String name, Collection<TopicPartition> partitions) {
        ObjectNode node = event(name);
        ArrayNode array = node.putArray("partitions");
        for (TopicPartition p : partitions) array.addArray().add(p.topic()).add(p.partition());
        say(node);
    }

    private static void sayError(String name, Throwable error) {
        say(event(name).put("error", error.toString()));
    }

    private Path file(TopicPartition p) {
        return stateDirectory.resolve(p.topic() + "-" + p.partition() + ".json");
    }

    private State load(TopicPartition p) {
        State state = new State();
        try {
            if (Files.exists(file(p))) {
                JsonNode node = JSON.readTree(file(p).toFile());
                state.next = node.get("next").asLong();
                state.count = node.get("count").asLong();
                state.sum = node.get("sum").asLong();
            }
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
        return state;
    }

    private void persist(TopicPartition p) {
        State state = states.get(p);
        ObjectNode node = JSON.createObjectNode();
        node.put("next", state.next).put("count", state.count).put("sum", state.sum);
        try {
            Path temporary = Files.createTempFile(stateDirectory, "state", ".tmp");
            Files.write(temporary, JSON.writeValueAsBytes(node));
            Files.move(temporary, file(p), StandardCopyOption.ATOMIC_MOVE);
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        say("assigned", partitions);
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(Set.copyOf(partitions));
        ObjectNode restored = event("restored");
        ArrayNode array = restored.putArray("offsets");
        for (TopicPartition p : partitions) {
            State state = load(p);
            states.put(p, state);
            consumer.seek(p, state.next);
            OffsetAndMetadata at = committed.get(p);
            array.addArray().add(p.topic()).add(p.partition()).add(state.next).add(at == null ? -1 : at.offset());
        }
        say(restored);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        if (commit(partitions)) for (TopicPartition p : partitions) persist(p);
        states.keySet().removeAll(partitions);
        say("revoked", partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        states.keySet().removeAll(partitions);
        say("lost", partitions);
    }

    private boolean commit(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new TreeMap<>(
            (a, b) -> (a.topic() + a.partition()).compareTo(b.topic() + b.partition()));
        for (TopicPartition p : partitions)
            if (states.get(p).next > 0) offsets.put(p, new OffsetAndMetadata(states.get(p).next));
        if (offsets.isEmpty()) return true;
        try {
            consumer.commitSync(offsets, Duration.ofSeconds(10));
        } catch (KafkaException e) {
            sayError("commit_failed", e);
            return false;
        }
        ObjectNode node = event("committed");
        ArrayNode array = node.putArray("offsets");
        offsets.forEach((p, o) -> array.addArray().add(p.topic()).add(p.partition()).add(o.offset()));
        say(node);
        return true;
    }

    private void take(ConsumerRecords<byte[], byte[]> records) {
        for (TopicPartition p : records.partitions()) {
            List<ConsumerRecord<byte[], byte[]>> rows = records.records(p);
            State state = states.get(p);
            for (ConsumerRecord<byte[], byte[]> row : rows) {
                CRC32 crc = new CRC32();
                crc.update(row.value());
                state.sum += crc.getValue();
                state.count++;
                state.next = row.offset() + 1;
            }
            say(event("records").put("topic", p.topic()).put("partition", p.partition())
                .put("first", rows.get(0).offset()).put("last", rows.get(rows.size() - 1).offset())
                .put("count", rows.size()));
        }
        commit(records.partitions());
    }

    private void listen() {
        try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = in.readLine()) != null; ) commands.add(line);
        } catch (Exception e) {
            sayError("error", e);
        }
        commands.add("close");
    }

    private void run() throws Exception {
        Thread listener = new Thread(this::listen);
        listener.setDaemon(true);
        listener.start();
        if (spec.get("waits").asBoolean()) {
            say(event("waiting"));
            commands.take();
        }
        if (!spec.get("pattern").isNull()) {
            consumer.subscribe(new SubscriptionPattern(spec.get("pattern").asText()), this);
        } else {
            List<String> topics = JSON.convertValue(spec.get("topics"), JSON.getTypeFactory()
                .constructCollectionType(List.class, String.class));
            consumer.subscribe(topics, this);
        }
        say(event("started"));
        while (true) {
            String command = commands.poll();
            if (command != null && command.equals("close")) break;
            if (command != null && command.startsWith("sleep ")) {
                say(event("sleeping"));
                Thread.sleep((long) (Double.parseDouble(command.substring(6)) * 1000));
                say(event("woke"));
            }
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(200));
            if (!records.isEmpty()) take(records);
        }
        consumer.close();
        say(event("closed"));
    }

    public static void main(String[] args) throws Exception {
        GroupMember member = new GroupMember(JSON.readTree(args[0]));
        try {
            member.run();
        } catch (Exception e) {
            sayError("error", e);
            member.consumer.close();
            System.exit(1);
        }
        System.exit(0);
    }
}

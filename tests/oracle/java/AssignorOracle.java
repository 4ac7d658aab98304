import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataDelta;
import org.apache.kafka.coordinator.common.runtime.CoordinatorMetadataImage;
import org.apache.kafka.coordinator.common.runtime.CoordinatorRecord;
import org.apache.kafka.coordinator.group.api.assignor.MemberAssignment;
import org.apache.kafka.coordinator.group.api.assignor.PartitionAssignor;
import org.apache.kafka.coordinator.group.api.assignor.PartitionAssignorException;
import org.apache.kafka.coordinator.group.api.assignor.SubscriptionType;
import org.apache.kafka.coordinator.group.assignor.RangeAssignor;
import org.apache.kafka.coordinator.group.assignor.UniformAssignor;
import org.apache.kafka.coordinator.group.generated.ConsumerGroupTargetAssignmentMemberKey;
import org.apache.kafka.coordinator.group.modern.Assignment;
import org.apache.kafka.coordinator.group.modern.TargetAssignmentBuilder.ConsumerTargetAssignmentBuilder;
import org.apache.kafka.coordinator.group.modern.consumer.ConsumerGroupMember;

/**
 * Targets computed by Kafka's own builder and assignors, a JSON object a line in, one a line out.
 *
 * A question has "assignor", "homogeneous", "topics" {name: [id, partitions]} and "members": [{"id", "instance", "rack",
 * "names": [...], "assigned": [[topic id, [partitions]]]}]. The answer has "targets" {member: [[topic id, [partitions]]]}
 * in the order in which Kafka's maps and sets iterate, and "changed": the members whose records are written, in order;
 * or "error". A question {"regex": pattern, "texts": [...]} is about RE2/J: "matched": the texts that it matches whole.
 */
public class AssignorOracle {
    private static final ObjectMapper JSON = new ObjectMapper();

    private record Topic(String name, Uuid id, int partitionCount) implements CoordinatorMetadataImage.TopicMetadata {
        @Override
        public List<String> partitionRacks(int partition) {
            return new ArrayList<>();
        }
    }

    private static class Image implements CoordinatorMetadataImage {
        private final Map<String, TopicMetadata> byName = new LinkedHashMap<>();
        private final Map<Uuid, TopicMetadata> byId = new LinkedHashMap<>();

        void add(Topic topic) {
            byName.put(topic.name(), topic);
            byId.put(topic.id(), topic);
        }

        @Override
        public Set<Uuid> topicIds() {
            return byId.keySet();
        }

        @Override
        public Set<String> topicNames() {
            return byName.keySet();
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(String name) {
            return Optional.ofNullable(byName.get(name));
        }

        @Override
        public Optional<TopicMetadata> topicMetadata(Uuid id) {
            return Optional.ofNullable(byId.get(id));
        }

        @Override
        public CoordinatorMetadataDelta emptyDelta() {
            throw new UnsupportedOperationException();
        }

        @Override
        public long version() {
            return 1;
        }

        @Override
        public boolean isEmpty() {
            return byId.isEmpty();
        }
    }

    /** As Assignment.fromRecord makes it of a record's lists. */
    private static Assignment assignment(JsonNode assigned) {
        Map<Uuid, Set<Integer>> topics = new HashMap<>();
        for (JsonNode topic : assigned) {
            List<Integer> partitions = new ArrayList<>();
            topic.get(1).forEach(partition -> partitions.add(partition.asInt()));
            topics.put(Uuid.fromString(topic.get(0).asText()), new HashSet<>(partitions));
        }
        return new Assignment(Collections.unmodifiableMap(topics));
    }

    private static ObjectNode assign(JsonNode question) {
        Image image = new Image();
        question.get("topics").fields().forEachRemaining(entry -> image.add(
            new Topic(entry.getKey(), Uuid.fromString(entry.getValue().get(0).asText()), entry.getValue().get(1).asInt())
        ));
        Map<String, ConsumerGroupMember> members = new LinkedHashMap<>();
        Map<String, Assignment> targets = new HashMap<>();
        Map<Uuid, Map<Integer, String>> owners = new HashMap<>();
        for (JsonNode member : question.get("members")) {
            String id = member.get("id").asText();
            List<String> names = new ArrayList<>();
            member.get("names").forEach(name -> names.add(name.asText()));
            members.put(id, new ConsumerGroupMember.Builder(id)
                .setInstanceId(member.get("instance").isNull() ? null : member.get("instance").asText())
                .setRackId(member.get("rack").isNull() ? null : member.get("rack").asText())
                .setSubscribedTopicNames(names)
                .build());
            Assignment assigned = assignment(member.get("assigned"));
            targets.put(id, assigned);
            assigned.partitions().forEach((topicId, partitions) -> partitions.forEach(
                partition -> owners.computeIfAbsent(topicId, __ -> new HashMap<>()).put(partition, id)));
        }
        PartitionAssignor assignor =
            question.get("assignor").asText().equals("range") ? new RangeAssignor() : new UniformAssignor();
        ObjectNode answer = JSON.createObjectNode();
        try {
            var result = new ConsumerTargetAssignmentBuilder("group", 1, assignor)
                .withTime(Time.SYSTEM)
                .withMembers(members)
                .withSubscriptionType(
                    question.get("homogeneous").asBoolean() ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS)
                .withTargetAssignment(targets)
                .withInvertedTargetAssignment(owners)
                .withMetadataImage(image)
                .build();
            ObjectNode made = answer.putObject("targets");
            for (Map.Entry<String, MemberAssignment> entry : result.targetAssignment().entrySet()) {
                ArrayNode topics = made.putArray(entry.getKey());
                entry.getValue().partitions().forEach((topicId, partitions) -> {
                    ArrayNode topic = topics.addArray().add(topicId.toString());
                    partitions.forEach(topic.addArray()::add);
                });
            }
            ArrayNode changed = answer.putArray("changed");
            for (CoordinatorRecord record : result.records()) {
                if (record.key() instanceof ConsumerGroupTargetAssignmentMemberKey key) {
                    changed.add(key.memberId());
                }
            }
        } catch (PartitionAssignorException e) {
            answer.put("error", e.getMessage());
        }
        return answer;
    }

    private static ObjectNode match(JsonNode question) {
        ObjectNode answer = JSON.createObjectNode();
        try {
            var pattern = com.google.re2j.Pattern.compile(question.get("regex").asText());
            ArrayNode matched = answer.putArray("matched");
            question.get("texts").forEach(text -> {
                if (pattern.matcher(text.asText()).matches()) {
                    matched.add(text.asText());
                }
            });
        } catch (com.google.re2j.PatternSyntaxException e) {
            answer.put("error", e.getDescription());
        }
        return answer;
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode question = JSON.readTree(line);
            ObjectNode answer = question.has("regex") ? match(question) : assign(question);
            out.println(JSON.writeValueAsString(answer));
        }
        out.flush();
    }
}

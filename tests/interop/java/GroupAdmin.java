import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.DeleteConsumerGroupOffsetsResult;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupResult;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.protocol.Errors;

/**
 * The Java Admin's group calls behind lines of JSON: {"op": NAME, ...} in, {"ok": VALUE} or
 * {"error": TEXT} out. What the broker answered to one group or partition is its error code.
 */
public class GroupAdmin {
    private static final ObjectMapper JSON = new ObjectMapper();

    /** The error code that a future ended with; anything that is not of the protocol is thrown. */
    private static int code(KafkaFuture<?> future) throws Exception {
        try {
            future.get();
            return 0;
        } catch (ExecutionException e) {
            Errors error = Errors.forException(e.getCause());
            if (error == Errors.UNKNOWN_SERVER_ERROR) throw e;
            return error.code();
        }
    }

    private static List<TopicPartition> partitions(JsonNode rows) {
        List<TopicPartition> out = new ArrayList<>();
        for (JsonNode row : rows) out.add(new TopicPartition(row.get(0).asText(), row.get(1).asInt()));
        return out;
    }

    private static List<String> strings(JsonNode rows) {
        List<String> out = new ArrayList<>();
        for (JsonNode row : rows) out.add(row.asText());
        return out;
    }

    private static JsonNode groups(Admin admin, JsonNode q) throws Exception {
        Set<GroupState> states = new HashSet<>();
        for (String s : strings(q.get("states"))) states.add(GroupState.parse(s));
        Set<GroupType> types = new HashSet<>();
        for (String t : strings(q.get("types"))) types.add(GroupType.parse(t));
        ObjectNode out = JSON.createObjectNode();
        ListGroupsOptions options = new ListGroupsOptions().inGroupStates(states).withTypes(types);
        for (GroupListing g : admin.listGroups(options).all().get())
            out.putArray(g.groupId())
                .add(g.groupState().map(GroupState::toString).orElse(null))
                .add(g.type().map(GroupType::toString).orElse(null));
        return out;
    }

    private static JsonNode describe(Admin admin, JsonNode q) throws Exception {
        ObjectNode out = JSON.createObjectNode();
        for (var e : admin.describeConsumerGroups(strings(q.get("groups"))).describedGroups().entrySet()) {
            int code = code(e.getValue());
            ObjectNode node = out.putObject(e.getKey()).put("code", code);
            if (code != 0) continue;
            ConsumerGroupDescription group = e.getValue().get();
            node.put("state", group.groupState().toString()).put("assignor", group.partitionAssignor());
            ArrayNode members = node.putArray("members");
            for (MemberDescription m : group.members()) {
                ArrayNode row = members.addArray().add(m.clientId()).add(m.groupInstanceId().orElse(null));
                ArrayNode assigned = row.addArray();
                for (TopicPartition p : m.assignment().topicPartitions())
                    assigned.addArray().add(p.topic()).add(p.partition());
            }
        }
        return out;
    }

    private static JsonNode offsets(Admin admin, JsonNode q) throws Exception {
        ArrayNode out = JSON.createArrayNode();
        var found = admin.listConsumerGroupOffsets(q.get("group").asText()).partitionsToOffsetAndMetadata().get();
        for (var e : found.entrySet())
            if (e.getValue() != null)
                out.addArray().add(e.getKey().topic()).add(e.getKey().partition())
                    .add(e.getValue().offset()).add(e.getValue().metadata());
        return out;
    }

    private static JsonNode alter(Admin admin, JsonNode q) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (JsonNode row : q.get("offsets"))
            offsets.put(new TopicPartition(row.get(0).asText(), row.get(1).asInt()),
                new OffsetAndMetadata(row.get(2).asLong(), row.get(3).asText()));
        AlterConsumerGroupOffsetsResult result = admin.alterConsumerGroupOffsets(q.get("group").asText(), offsets);
        ArrayNode out = JSON.createArrayNode();
        for (TopicPartition p : offsets.keySet())
            out.addArray().add(p.topic()).add(p.partition()).add(code(result.partitionResult(p)));
        return out;
    }

    private static JsonNode deleteOffsets(Admin admin, JsonNode q) throws Exception {
        List<TopicPartition> partitions = partitions(q.get("partitions"));
        DeleteConsumerGroupOffsetsResult result =
            admin.deleteConsumerGroupOffsets(q.get("group").asText(), new HashSet<>(partitions));
        ArrayNode out = JSON.createArrayNode();
        for (TopicPartition p : partitions)
            out.addArray().add(p.topic()).add(p.partition()).add(code(result.partitionResult(p)));
        return out;
    }

    private static JsonNode deleteGroups(Admin admin, JsonNode q) throws Exception {
        ObjectNode out = JSON.createObjectNode();
        for (var e : admin.deleteConsumerGroups(strings(q.get("groups"))).deletedGroups().entrySet())
            out.put(e.getKey(), code(e.getValue()));
        return out;
    }

    private static JsonNode removeMembers(Admin admin, JsonNode q) throws Exception {
        ObjectNode out = JSON.createObjectNode();
        String group = q.get("group").asText();
        if (q.get("instances").isNull()) {
            out.put("", code(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all()));
            return out;
        }
        Set<MemberToRemove> members = new HashSet<>();
        for (String instance : strings(q.get("instances"))) members.add(new MemberToRemove(instance));
        RemoveMembersFromConsumerGroupResult result =
            admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(members));
        for (MemberToRemove m : members) out.put(m.groupInstanceId(), code(result.memberResult(m)));
        return out;
    }

    private static JsonNode answer(Admin admin, JsonNode q) throws Exception {
        return switch (q.get("op").asText()) {
            case "groups" -> groups(admin, q);
            case "describe" -> describe(admin, q);
            case "offsets" -> offsets(admin, q);
            case "alter" -> alter(admin, q);
            case "delete_offsets" -> deleteOffsets(admin, q);
            case "delete_groups" -> deleteGroups(admin, q);
            case "remove_members" -> removeMembers(admin, q);
            default -> throw new IllegalArgumentException(q.get("op").asText());
        };
    }

    public static void main(String[] args) throws Exception {
        PrintStream replies = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", args[0], "request.timeout.ms", 20000, "default.api.timeout.ms", 20000))) {
            for (String line; (line = requests.readLine()) != null; ) {
                ObjectNode reply = JSON.createObjectNode();
                try {
                    reply.set("ok", answer(admin, JSON.readTree(line)));
                } catch (Exception e) {
                    reply.put("error", e.toString());
                }
                replies.println(JSON.writeValueAsString(reply));
            }
        }
    }
}

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.InetAddress;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.metrics.internals.PluginMetricsImpl;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.SecurityUtils;
import org.apache.kafka.metadata.authorizer.StandardAcl;
import org.apache.kafka.metadata.authorizer.StandardAuthorizer;
import org.apache.kafka.server.authorizer.Action;
import org.apache.kafka.server.authorizer.AuthorizableRequestContext;
import org.apache.kafka.server.authorizer.AuthorizationResult;

/**
 * What Kafka's own StandardAuthorizer decides, a JSON object a line in, one a line out.
 *
 * A question has "super" (super.users), "everyone" (allow.everyone.if.no.acl.found), "acls" [[type, name, pattern,
 * principal, host, operation, permission]], "asks" [[principal, host, operation, type, name]] and "any" [[principal, host,
 * operation, type]]. The answer has "asks" and "any", true where it is allowed.
 */
public class AuthorizerOracle {
    private static final ObjectMapper JSON = new ObjectMapper();

    private record Context(KafkaPrincipal principal, InetAddress clientAddress) implements AuthorizableRequestContext {
        @Override
        public String listenerName() {
            return "PLAINTEXT";
        }

        @Override
        public SecurityProtocol securityProtocol() {
            return SecurityProtocol.PLAINTEXT;
        }

        @Override
        public int requestType() {
            return 3;
        }

        @Override
        public int requestVersion() {
            return 12;
        }

        @Override
        public String clientId() {
            return "oracle";
        }

        @Override
        public int correlationId() {
            return 1;
        }
    }

    private static Context context(JsonNode ask) throws Exception {
        return new Context(SecurityUtils.parseKafkaPrincipal(ask.get(0).asText()), InetAddress.getByName(ask.get(1).asText()));
    }

    private static StandardAuthorizer authorizer(JsonNode question) {
        StandardAuthorizer authorizer = new StandardAuthorizer();
        authorizer.withPluginMetrics(new PluginMetricsImpl(new Metrics(), Map.of()));
        Map<String, String> configs = new HashMap<>();
        configs.put("super.users", question.get("super").asText());
        configs.put("allow.everyone.if.no.acl.found", question.get("everyone").asText());
        configs.put("node.id", "1");
        authorizer.configure(configs);
        Map<Uuid, StandardAcl> acls = new HashMap<>();
        for (JsonNode acl : question.get("acls")) {
            acls.put(Uuid.randomUuid(), new StandardAcl(
                ResourceType.fromCode((byte) acl.get(0).asInt()),
                acl.get(1).asText(),
                PatternType.fromCode((byte) acl.get(2).asInt()),
                acl.get(3).asText(),
                acl.get(4).asText(),
                AclOperation.fromCode((byte) acl.get(5).asInt()),
                AclPermissionType.fromCode((byte) acl.get(6).asInt())));
        }
        authorizer.loadSnapshot(acls);
        authorizer.completeInitialLoad();
        return authorizer;
    }

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            JsonNode question = JSON.readTree(line);
            StandardAuthorizer authorizer = authorizer(question);
            ObjectNode answer = JSON.createObjectNode();
            ArrayNode asks = answer.putArray("asks");
            for (JsonNode ask : question.get("asks")) {
                ResourcePattern resource = new ResourcePattern(
                    ResourceType.fromCode((byte) ask.get(3).asInt()), ask.get(4).asText(), PatternType.LITERAL);
                Action action = new Action(AclOperation.fromCode((byte) ask.get(2).asInt()), resource, 1, false, false);
                asks.add(authorizer.authorize(context(ask), List.of(action)).get(0) == AuthorizationResult.ALLOWED);
            }
            ArrayNode any = answer.putArray("any");
            for (JsonNode ask : question.get("any")) {
                any.add(authorizer.authorizeByResourceType(
                    context(ask),
                    AclOperation.fromCode((byte) ask.get(2).asInt()),
                    ResourceType.fromCode((byte) ask.get(3).asInt())) == AuthorizationResult.ALLOWED);
            }
            out.println(JSON.writeValueAsString(answer));
        }
        out.flush();
    }
}

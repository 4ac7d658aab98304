import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

/** Prints every configuration key of Apache Kafka: table, name, type, default, validator, importance, internal, mode. */
public class ConfigTables {
    public static void main(String[] args) throws Exception {
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        print("broker", kafka.server.KafkaConfig.configDef(), modes);
        print("topic", LogConfig.configDefCopy(), Map.of());
        print("group", staticDefinition(GroupConfig.class), Map.of());
        print("client-metrics", staticDefinition(ClientMetricsConfigs.class), Map.of());
        for (String name : LogConfig.configNames()) {
            String synonym = ServerTopicConfigSynonyms.TOPIC_CONFIG_SYNONYMS.get(name);
            System.out.println("synonym\t" + name + "\t" + synonym);
        }
        for (String name : kafka.server.KafkaConfig.configDef().names())
            System.out.println("names\t" + name + "\t" + String.join(",", DynamicBrokerConfig.brokerConfigSynonyms(name, true)));
    }

    private static ConfigDef staticDefinition(Class<?> owner) throws Exception {
        for (Field field : owner.getDeclaredFields())
            if (field.getType() == ConfigDef.class && Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                return (ConfigDef) field.get(null);
            }
        throw new IllegalStateException(owner.getName());
    }

    private static void print(String table, ConfigDef definition, Map<String, String> modes) {
        for (ConfigDef.ConfigKey key : definition.configKeys().values())
            System.out.println(String.join("\t", table, key.name, key.type.name(), defaultOf(key), validatorOf(key),
                key.importance.name(), String.valueOf(key.internalConfig), modes.getOrDefault(key.name, "read-only")));
    }

    private static String defaultOf(ConfigDef.ConfigKey key) {
        if (!key.hasDefault()) return "<required>";
        if (key.defaultValue == null) return "<null>";
        return ConfigDef.convertToString(key.defaultValue, key.type);
    }

    private static String validatorOf(ConfigDef.ConfigKey key) {
        return key.validator == null ? "<none>" : key.validator.toString();
    }
}

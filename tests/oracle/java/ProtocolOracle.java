import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Decodes and encodes messages with Kafka's own generated classes, for a test on the other end of a pipe.
 *
 * A question is: class name (UTF), read version, write version (16 bits each), length (32 bits) and bytes. Length -1 asks
 * about a new object instead of a decoded one, and the name "Errors" asks for the table of error codes instead. An answer is: status byte, length and bytes, length and JSON text. Status 0:
 * the bytes are the message written in the write version, the JSON is Kafka's rendering in the read version. Status 1: no
 * such class, or it lacks the read version. Status 2: reading failed; 3: writing failed; then the bytes are the reason.
 */
public class ProtocolOracle {
    private static final String[] PLACES = {
        "org.apache.kafka.common.message.%sData",
        "org.apache.kafka.common.message.%s",
        "org.apache.kafka.common.metadata.%s",
        "org.apache.kafka.coordinator.group.generated.%s",
        "org.apache.kafka.coordinator.transaction.generated.%s",
        "org.apache.kafka.coordinator.share.generated.%s",
        "org.apache.kafka.raft.generated.%s",
    };

    private static Class<?> find(String name) {
        for (String place : PLACES) {
            try {
                return Class.forName(String.format(place, name));
            } catch (ClassNotFoundException e) {
                continue;
            }
        }
        return null;
    }

    private static byte[] write(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        if (buffer.hasRemaining()) {
            throw new IllegalStateException("the message was shorter than its size");
        }
        return buffer.array();
    }

    private static String json(Message message, short version) throws Exception {
        Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
        for (Method method : converter.getMethods()) {
            if (method.getName().equals("write") && method.getParameterCount() == 2) {
                return ((JsonNode) method.invoke(null, message, version)).toString();
            }
        }
        throw new IllegalStateException("no JSON converter");
    }

    private static byte[] errors() {
        StringBuilder table = new StringBuilder();
        for (Errors error : Errors.values()) {
            boolean retriable = error.exception() instanceof RetriableException;
            table.append(error.code()).append('\t').append(error.name()).append('\t');
            table.append(retriable).append('\t').append(error.message()).append('\n');
        }
        return table.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void answer(DataOutputStream out, int status, byte[] bytes, String text) throws Exception {
        byte[] json = text.getBytes(StandardCharsets.UTF_8);
        out.writeByte(status);
        out.writeInt(bytes.length);
        out.write(bytes);
        out.writeInt(json.length);
        out.write(json);
    }

    private static void one(DataInputStream in, DataOutputStream out, String name) throws Exception {
        short readVersion = in.readShort();
        short writeVersion = in.readShort();
        int size = in.readInt();
        byte[] bytes = new byte[Math.max(0, size)];
        in.readFully(bytes);
        if (name.equals("Errors")) {
            answer(out, 0, errors(), "");
            return;
        }
        Class<?> type = find(name);
        Message message = type == null ? null : (Message) type.getConstructor().newInstance();
        if (message == null || readVersion > message.highestSupportedVersion()
                || readVersion < message.lowestSupportedVersion()) {
            answer(out, 1, new byte[0], "");
            return;
        }
        int status = 2;
        try {
            if (size >= 0) {
                ByteBuffer buffer = ByteBuffer.wrap(bytes);
                message.read(new ByteBufferAccessor(buffer), readVersion);
                if (buffer.hasRemaining()) {
                    throw new IllegalStateException(buffer.remaining() + " bytes left over");
                }
            }
            status = 3;
            answer(out, 0, write(message, writeVersion), json(message, readVersion));
        } catch (InvocationTargetException e) {
            answer(out, status, ("JSON: " + e.getCause()).getBytes(StandardCharsets.UTF_8), "");
        } catch (RuntimeException e) {
            answer(out, status, e.toString().getBytes(StandardCharsets.UTF_8), "");
        }
    }

    public static void main(String[] args) throws Exception {
        DataInputStream in = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
        DataOutputStream out = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
        while (true) {
            String name;
            try {
                name = in.readUTF();
            } catch (EOFException e) {
                break;
            }
            one(in, out, name);
        }
        out.flush();
    }
}

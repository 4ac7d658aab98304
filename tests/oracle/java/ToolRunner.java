import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs the main methods of Kafka's tools, one after another, in one JVM.
 *
 * A line of JSON in, {"main": CLASS, "args": [...]}; a line of JSON out, {"exit": N, "out": TEXT, "err": TEXT}.
 * A JVM a tool would cost a second each time; here only the first use of a tool is slow.
 */
public class ToolRunner {
    /** Where System.out and System.err lead: Scala's Console keeps the stream it saw first, so that stream stays. */
    private static final class Switch extends OutputStream {
        volatile ByteArrayOutputStream target = new ByteArrayOutputStream();

        @Override
        public void write(int b) {
            target.write(b);
        }

        @Override
        public void write(byte[] b, int from, int count) {
            target.write(b, from, count);
        }
    }

    /** The status of the tool that runs now. A thread that called exit is held for good, as after a real exit. */
    private static volatile CompletableFuture<Integer> status = new CompletableFuture<>();

    private static void exit(int code, String message) {
        if (message != null) System.err.println(message);
        status.complete(code);
        while (true) LockSupport.park();
    }

    public static void main(String[] unused) throws Exception {
        ObjectMapper json = new ObjectMapper();
        PrintStream replies = System.out;
        Switch out = new Switch();
        Switch err = new Switch();
        System.setOut(new PrintStream(out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(err, true, StandardCharsets.UTF_8));
        Exit.setExitProcedure(ToolRunner::exit);
        Exit.setHaltProcedure(ToolRunner::exit);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = requests.readLine()) != null; ) {
            out.target = new ByteArrayOutputStream();
            err.target = new ByteArrayOutputStream();
            JsonNode request = json.readTree(line);
            List<String> args = new ArrayList<>();
            request.get("args").forEach(a -> args.add(a.asText()));
            CompletableFuture<Integer> mine = new CompletableFuture<>();
            status = mine;
            Thread tool = new Thread(
                () -> mine.complete(run(request.get("main").asText(), args.toArray(new String[0]))), "main");
            tool.setDaemon(true);
            tool.start();
            ObjectNode reply = json.createObjectNode();
            reply.put("exit", mine.get());
            System.out.flush();
            System.err.flush();
            reply.put("out", out.target.toString(StandardCharsets.UTF_8));
            reply.put("err", err.target.toString(StandardCharsets.UTF_8));
            replies.println(json.writeValueAsString(reply));
            replies.flush();
        }
    }

    private static int run(String name, String[] args) {
        try {
            Class.forName(name).getMethod("main", String[].class).invoke(null, (Object) args);
            return 0;
        } catch (InvocationTargetException e) {
            e.getCause().printStackTrace();
            return 1;
        } catch (ReflectiveOperationException e) {
            e.printStackTrace();
            return 127;
        }
    }
}

import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.common.util.concurrent.MoreExecutors;
import java.net.URI;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicLong;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordResult;

/** Puts with the Kinesis Producer Library, as package contest does with those in Go. */
public class Put {
    static final int WRITERS = 4;
    static final AtomicLong stored = new AtomicLong();
    static final AtomicLong failed = new AtomicLong();

    static Map<String, String> args = new HashMap<>();
    static KinesisProducer producer;
    static Semaphore room;
    static int outstanding, size;
    static long rate;
    static String[] keys;

    static int number(String name) { return Integer.parseInt(args.getOrDefault(name, "0")); }

    /** The milliseconds of a duration as Go writes it, such as 100ms or 30s. */
    static long millis(String name) {
        String v = args.get(name);
        if (v.endsWith("ms")) return Long.parseLong(v.substring(0, v.length() - 2));
        if (v.endsWith("m0s")) return 60_000 * Long.parseLong(v.substring(0, v.length() - 3));
        return 1000 * Long.parseLong(v.substring(0, v.length() - 1));
    }

    public static void main(String[] argv) throws Exception {
        for (String a : argv) {
            int i = a.indexOf('=');
            args.put(a.substring(0, i), a.substring(i + 1));
        }
        URI endpoint = URI.create(args.get("endpoint"));
        size = number("size");
        rate = number("rate");
        outstanding = number("outstanding");
        room = new Semaphore(outstanding);
        keys = new String[number("keys")];
        for (int i = 0; i < keys.length; i++) keys[i] = String.format("user-%08d", i);
        // RateLimit and EnableOldestFutureTracker: without them the library measures its own limiter
        // and the cost of a list.
        KinesisProducerConfiguration c = new KinesisProducerConfiguration()
            .setKinesisEndpoint(endpoint.getHost()).setKinesisPort(endpoint.getPort()).setVerifyCertificate(false)
            .setRegion("us-east-1").setMetricsLevel("none").setLogLevel("error")
            .setAggregationEnabled(Boolean.parseBoolean(args.get("aggregate")))
            .setRecordMaxBufferedTime(millis("buffered")).setRecordTtl(millis("ttl"))
            .setRateLimit(100_000).setEnableOldestFutureTracker(false)
            .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("bench", "bench")));
        producer = new KinesisProducer(c);
        int warm = number("warm");
        run(0, warm);
        room.acquire(outstanding);
        room.release(outstanding);
        stored.set(0);
        System.gc();
        System.out.println("{\"event\":\"start\"}");
        run(warm, warm + number("records"));
        producer.flush();
        room.acquire(outstanding);
        System.out.printf("{\"event\":\"end\",\"stored\":%d,\"failed\":%d}%n", stored.get(), failed.get());
        while (System.in.read() >= 0) { }
        producer.destroy();
        System.exit(0);
    }

    /** Puts the records from one id to another; those of a key are put by one thread. */
    static void run(int from, int to) throws Exception {
        long began = System.nanoTime();
        Thread[] threads = new Thread[WRITERS];
        for (int w = 0; w < WRITERS; w++) {
            int mine = w;
            threads[w] = new Thread(() -> {
                for (int id = from; id < to; id++) {
                    int k = id % keys.length;
                    if (k % WRITERS != mine) continue;
                    put(id, keys[k], began + (rate > 0 ? (long) ((id - from) * 1e9 / rate) : 0));
                }
            });
            threads[w].start();
        }
        for (Thread t : threads) t.join();
    }

    static void put(int id, String key, long due) {
        try {
            long wait = due - System.nanoTime();
            if (rate > 0 && wait > 0) Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
            room.acquire();
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
        ByteBuffer data = ByteBuffer.allocate(size);
        for (int i = 0; i < size; i++) data.put(i, (byte) (i * 31 + id));
        data.putLong(0, id);
        if (rate > 0) {
            java.time.Instant now = java.time.Instant.now();
            data.putLong(8, now.getEpochSecond() * 1_000_000_000L + now.getNano());
        }
        Futures.addCallback(producer.addUserRecord(args.get("stream"), key, data), new FutureCallback<UserRecordResult>() {
            public void onSuccess(UserRecordResult r) { (r.isSuccessful() ? stored : failed).incrementAndGet(); room.release(); }
            public void onFailure(Throwable t) { failed.incrementAndGet(); room.release(); }
        }, MoreExecutors.directExecutor());
    }
}

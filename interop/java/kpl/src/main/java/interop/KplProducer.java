package interop;

import com.google.common.util.concurrent.ListenableFuture;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.kinesis.producer.Attempt;
import software.amazon.kinesis.producer.KinesisProducer;
import software.amazon.kinesis.producer.KinesisProducerConfiguration;
import software.amazon.kinesis.producer.UserRecordFailedException;
import software.amazon.kinesis.producer.UserRecordResult;

/**
 * Puts the records of a file with the KPL and prints a line for each, in the order of the file: its shard and
 * sequence number, or "failed" and why. Before them it puts one "warm-up", unless --warm=false. A line of the file is the partition key and the data in base64 and the
 * explicit hash key, or nothing, with tabs between. Flags have the form --name=value: port, stream, input and
 * tmp are required.
 */
public final class KplProducer {
  public static void main(String[] args) throws Exception {
    Map<String, String> flags = new HashMap<>();
    for (String a : args) {
      int i = a.indexOf('=');
      flags.put(a.substring(2, i), a.substring(i + 1));
    }
    KinesisProducerConfiguration config = new KinesisProducerConfiguration()
        .setKinesisEndpoint("127.0.0.1").setKinesisPort(Integer.parseInt(flags.get("port"))).setVerifyCertificate(false)
        .setRegion("us-east-1").setMetricsLevel("none").setLogLevel("warning").setTempDirectory(flags.get("tmp"))
        .setCredentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local")))
        .setAggregationEnabled(flags.getOrDefault("aggregate", "true").equals("true"))
        .setRecordMaxBufferedTime(Long.parseLong(flags.getOrDefault("buffered", "100")));
    KinesisProducer producer = new KinesisProducer(config);
    long pause = Long.parseLong(flags.getOrDefault("pause", "0")); // microseconds between records
    if (flags.getOrDefault("warm", "true").equals("true")) { // until it knows the shards the KPL aggregates nothing
      producer.addUserRecord(flags.get("stream"), "warm-up", ByteBuffer.wrap("warm-up".getBytes(StandardCharsets.UTF_8))).get();
      Thread.sleep(1000);
    }
    List<ListenableFuture<UserRecordResult>> results = new ArrayList<>();
    Base64.Decoder decoder = Base64.getDecoder();
    long next = System.nanoTime();
    for (String line : Files.readAllLines(Paths.get(flags.get("input")))) {
      String[] f = line.split("\t", -1);
      next += pause * 1000;
      long wait = next - System.nanoTime();
      if (wait > 0) {
        Thread.sleep(wait / 1_000_000, (int) (wait % 1_000_000));
      }
      results.add(producer.addUserRecord(flags.get("stream"), new String(decoder.decode(f[0]), StandardCharsets.UTF_8),
          f[2].isEmpty() ? null : f[2], ByteBuffer.wrap(decoder.decode(f[1]))));
    }
    producer.flush();
    StringBuilder out = new StringBuilder();
    for (ListenableFuture<UserRecordResult> f : results) {
      try {
        UserRecordResult r = f.get();
        out.append(r.getShardId()).append('\t').append(r.getSequenceNumber()).append('\n');
      } catch (ExecutionException e) {
        String why = String.valueOf(e.getCause());
        if (e.getCause() instanceof UserRecordFailedException) {
          List<Attempt> attempts = ((UserRecordFailedException) e.getCause()).getResult().getAttempts();
          Attempt last = attempts.get(attempts.size() - 1);
          why = attempts.size() + " attempts, the last: " + last.getErrorCode() + ": " + last.getErrorMessage();
        }
        out.append("failed\t").append(why.replace('\n', ' ')).append('\n');
      }
    }
    System.out.print(out);
    System.out.flush();
    producer.destroy();
    System.exit(0);
  }
}

package interop;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.net.URI;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.SdkHttpConfigurationOption;
import software.amazon.awssdk.http.async.SdkAsyncHttpClient;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.utils.AttributeMap;
import software.amazon.kinesis.common.ConfigsBuilder;
import software.amazon.kinesis.common.InitialPositionInStream;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.LeaseCleanupConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.ShardRecordProcessorFactory;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.processor.StreamTracker;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/**
 * One worker of the KCL, which prints a JSON line per event. SIGTERM stops it gracefully. Flags have the
 * form --name=value; worker, app, stream or streams, kinesis and dynamodb are required. "streams" is a file that
 * names many. With "measure" the worker looks for a platform that tells its use of the CPU. The times that have
 * defaults there are shorter than the KCL's own where "fast" is not "false".
 */
public final class KclWorker {
  private final Map<String, String> flags = new HashMap<>();
  private final Journal journal;
  private final Processor.Policy policy = new Processor.Policy();
  private Scheduler scheduler;

  private KclWorker(String[] args) {
    for (String a : args) {
      int i = a.indexOf('=');
      flags.put(a.substring(2, i), a.substring(i + 1));
    }
    journal = new Journal(flags.get("worker"));
    policy.prepare = flags.getOrDefault("prepare", "false").equals("true");
    policy.haltAfter = number("halt-after", 0);
    policy.hangAfter = number("hang-after", 0);
    policy.slowStop = number("slow-stop", 0);
    policy.stop = () -> new Thread(this::stop).start();
  }

  private long number(String name, long value) {
    return Long.parseLong(flags.getOrDefault(name, Long.toString(value)));
  }

  private void stop() {
    journal.write("stopping");
    try {
      boolean clean = scheduler.startGracefulShutdown().get(90, TimeUnit.SECONDS);
      journal.write("shutdown", "clean", clean);
    } catch (Exception e) {
      journal.write("failed", "error", "graceful shutdown: " + e);
    }
  }

  private static SdkAsyncHttpClient http(Protocol protocol) {
    return NettyNioAsyncHttpClient.builder().protocol(protocol).maxConcurrency(100)
        .buildWithDefaults(AttributeMap.builder().put(SdkHttpConfigurationOption.TRUST_ALL_CERTIFICATES, true).build());
  }

  /** Calls a setter that not every version has. */
  private static void set(Object config, String setter, Object value) throws Exception {
    for (Method m : config.getClass().getMethods()) {
      if (m.getName().equals(setter) && m.getParameterCount() == 1) {
        m.setAccessible(true);
        m.invoke(config, value);
      }
    }
  }

  /** Returns the member of that name, or null in a version that has none. */
  private static Object get(Object config, String getter) throws Exception {
    try {
      return config.getClass().getMethod(getter).invoke(config);
    } catch (NoSuchMethodException e) {
      return null;
    }
  }

  private void configure(ConfigsBuilder builder, LeaseManagementConfig lease, Object coordinator) throws Exception {
    lease.failoverTimeMillis(number("failover", 10_000));
    Object balance = get(lease, "workerUtilizationAwareAssignmentConfig");
    if (balance != null && flags.getOrDefault("measure", "false").equals("false")) {
      set(balance, "disableWorkerMetrics", true); // else it looks for EC2 first
    }
    if (flags.containsKey("client-version")) {
      for (Object v : coordinator.getClass().getMethod("clientVersionConfig").getReturnType().getEnumConstants()) {
        if (v.toString().equals(flags.get("client-version"))) {
          set(coordinator, "clientVersionConfig", v);
        }
      }
    }
    set(coordinator, "migrateAllEntitiesToLeaseTable", flags.getOrDefault("migrate-tables", "false").equals("true"));
    if (flags.getOrDefault("fast", "true").equals("false")) {
      return;
    }
    lease.shardSyncIntervalMillis(500);
    if (balance != null) {
      set(balance, "workerMetricsReporterFreqInMillis", number("report", 30_000));
      set(balance, "varianceBalancingFrequency", (int) number("balance", 1));
    }
    long lock = number("lock", 2 * number("failover", 10_000));
    set(lease, "dynamoDbLockBasedLeaderLeaseDurationInMillis", lock);
    set(lease, "dynamoDbLockBasedLeaderHeartbeatPeriodInMillis", lock / 4);
    Field cleanup = LeaseManagementConfig.class.getDeclaredField("leaseCleanupConfig"); // it has no setter
    cleanup.setAccessible(true);
    cleanup.set(lease, LeaseCleanupConfig.builder().leaseCleanupIntervalMillis(2_000)
        .completedLeaseCleanupIntervalMillis(2_000).garbageLeaseCleanupIntervalMillis(10_000).build());
  }

  private void run() throws Exception {
    String stream = flags.get("stream");
    String app = flags.get("app");
    AwsCredentialsProvider credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("local", "local"));
    Protocol protocol = flags.get("kinesis").startsWith("https") ? Protocol.HTTP2 : Protocol.HTTP1_1;
    KinesisAsyncClient kinesis = KinesisAsyncClient.builder().endpointOverride(URI.create(flags.get("kinesis")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).httpClient(http(protocol)).build();
    DynamoDbAsyncClient dynamodb = DynamoDbAsyncClient.builder().endpointOverride(URI.create(flags.get("dynamodb")))
        .region(Region.US_EAST_1).credentialsProvider(credentials).httpClient(http(Protocol.HTTP1_1)).build();
    CloudWatchAsyncClient cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
        .region(Region.US_EAST_1).credentialsProvider(credentials).build(); // never called
    InitialPositionInStreamExtended position = InitialPositionInStreamExtended.newInitialPosition(
        InitialPositionInStream.valueOf(flags.getOrDefault("position", "TRIM_HORIZON")));
    ShardRecordProcessorFactory factory = new ShardRecordProcessorFactory() {
      @Override
      public ShardRecordProcessor shardRecordProcessor() {
        return new Processor(journal, policy, stream);
      }

      @Override
      public ShardRecordProcessor shardRecordProcessor(StreamIdentifier of) {
        return new Processor(journal, policy, of.streamName());
      }
    };
    StreamTracker tracker = flags.containsKey("streams") ? new Streams(flags.get("streams"), position)
        : new SingleStreamTracker(StreamIdentifier.singleStreamInstance(stream), position);
    ConfigsBuilder builder = new ConfigsBuilder(tracker, app, kinesis, dynamodb, cloudwatch, flags.get("worker"), factory);
    LeaseManagementConfig lease = builder.leaseManagementConfig();
    Object coordinator = builder.coordinatorConfig();
    configure(builder, lease, coordinator);
    RetrievalSpecificConfig retrieval;
    if (flags.getOrDefault("retrieval", "polling").equals("fanout")) {
      retrieval = new FanOutConfig(kinesis).streamName(stream).applicationName(app);
    } else {
      PollingConfig polling = tracker.isMultiStream() ? new PollingConfig(kinesis) : new PollingConfig(stream, kinesis);
      polling.idleTimeBetweenReadsInMillis(number("poll", 300));
      retrieval = polling;
    }
    scheduler = new Scheduler(builder.checkpointConfig(), (software.amazon.kinesis.coordinator.CoordinatorConfig) coordinator, lease,
        builder.lifecycleConfig(), builder.metricsConfig().metricsFactory(new NullMetricsFactory()), builder.processorConfig(),
        builder.retrievalConfig().retrievalSpecificConfig(retrieval));
    sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> policy.stop.run());
    journal.tellStalls();
    journal.write("started");
    scheduler.run();
    journal.write("stopped");
    System.exit(0);
  }

  public static void main(String[] args) throws Exception {
    new KclWorker(args).run();
  }
}

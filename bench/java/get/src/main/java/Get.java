import java.net.URI;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.AwsCredentialsProvider;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.ProtocolNegotiation;
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
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.coordinator.Scheduler;
import software.amazon.kinesis.leases.LeaseManagementConfig;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.metrics.NullMetricsFactory;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.processor.SingleStreamTracker;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.RetrievalSpecificConfig;
import software.amazon.kinesis.retrieval.fanout.FanOutConfig;
import software.amazon.kinesis.retrieval.polling.PollingConfig;

/** Reads with the Kinesis Client Library, as package contest does with those in Go. */
public class Get {
    static final AtomicLong count = new AtomicLong(), repeats = new AtomicLong();
    static final CountDownLatch all = new CountDownLatch(1);
    static AtomicIntegerArray seen;
    static class Processor implements ShardRecordProcessor {
        public void initialize(InitializationInput in) { }
        public void processRecords(ProcessRecordsInput in) {
            if (in.records().isEmpty()) return;
            for (KinesisClientRecord r : in.records()) {
                int id = (int) r.data().getLong(r.data().position());
                if (!seen.compareAndSet(id, 0, 1)) repeats.incrementAndGet();
                else if (count.incrementAndGet() == seen.length()) all.countDown();
            }
            try { in.checkpointer().checkpoint(); } catch (Exception e) { throw new IllegalStateException(e); }
        }
        public void leaseLost(LeaseLostInput in) { }
        public void shardEnded(ShardEndedInput in) { }
        public void shutdownRequested(ShutdownRequestedInput in) { }
    }

    static SdkAsyncHttpClient http(Protocol protocol) {
        return NettyNioAsyncHttpClient.builder().protocol(protocol)
            .protocolNegotiation(protocol == Protocol.HTTP2 ? ProtocolNegotiation.ALPN : ProtocolNegotiation.ASSUME_PROTOCOL).maxConcurrency(100)
            .buildWithDefaults(AttributeMap.builder().put(SdkHttpConfigurationOption.TRUST_ALL_CERTIFICATES, true).build());
    }

    public static void main(String[] argv) throws Exception {
        Map<String, String> args = new HashMap<>();
        for (String a : argv) {
            int i = a.indexOf('=');
            args.put(a.substring(0, i), a.substring(i + 1));
        }
        seen = new AtomicIntegerArray(Integer.parseInt(args.get("records")));
        String stream = args.get("stream");
        URI endpoint = URI.create(args.get("endpoint"));
        AwsCredentialsProvider credentials = StaticCredentialsProvider.create(AwsBasicCredentials.create("bench", "bench"));
        KinesisAsyncClient kinesis = KinesisAsyncClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1)
            .credentialsProvider(credentials).httpClient(http(Protocol.HTTP2)).build();
        DynamoDbAsyncClient dynamodb = DynamoDbAsyncClient.builder().endpointOverride(endpoint).region(Region.US_EAST_1)
            .credentialsProvider(credentials).httpClient(http(Protocol.HTTP1_1)).build();
        CloudWatchAsyncClient cloudwatch = CloudWatchAsyncClient.builder().endpointOverride(URI.create("http://127.0.0.1:9"))
            .region(Region.US_EAST_1).credentialsProvider(credentials).build();
        ConfigsBuilder b = new ConfigsBuilder(new SingleStreamTracker(StreamIdentifier.singleStreamInstance(stream),
            InitialPositionInStreamExtended.newInitialPosition(InitialPositionInStream.TRIM_HORIZON)),
            "bench-kcl", kinesis, dynamodb, cloudwatch, "w", Processor::new);
        RetrievalSpecificConfig retrieval;
        if ("fanout".equals(args.get("retrieval"))) {
            retrieval = new FanOutConfig(kinesis).streamName(stream).applicationName("bench-kcl");
        } else {
            PollingConfig polling = new PollingConfig(stream, kinesis);
            polling.idleTimeBetweenReadsInMillis(200);
            retrieval = polling;
        }
        // As fast a start as the settings allow; it is not part of what is measured.
        LeaseManagementConfig leases = b.leaseManagementConfig().failoverTimeMillis(10_000).shardSyncIntervalMillis(500);
        leases.workerUtilizationAwareAssignmentConfig().disableWorkerMetrics(true).workerMetricsReporterFreqInMillis(1000);
        Scheduler scheduler = new Scheduler(b.checkpointConfig(), b.coordinatorConfig(),
            leases, b.lifecycleConfig(),
            b.metricsConfig().metricsFactory(new NullMetricsFactory()), b.processorConfig(),
            b.retrievalConfig().retrievalSpecificConfig(retrieval));
        new Thread(scheduler).start();
        all.await();
        System.out.printf("{\"event\":\"end\",\"stored\":%d,\"repeats\":%d}%n", count.get(), repeats.get());
        while (System.in.read() >= 0) { }
        Runtime.getRuntime().halt(0);
    }
}

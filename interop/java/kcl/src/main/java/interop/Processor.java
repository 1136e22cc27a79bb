package interop;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import software.amazon.kinesis.exceptions.ShutdownException;
import software.amazon.kinesis.lifecycle.events.InitializationInput;
import software.amazon.kinesis.lifecycle.events.LeaseLostInput;
import software.amazon.kinesis.lifecycle.events.ProcessRecordsInput;
import software.amazon.kinesis.lifecycle.events.ShardEndedInput;
import software.amazon.kinesis.lifecycle.events.ShutdownRequestedInput;
import software.amazon.kinesis.processor.PreparedCheckpointer;
import software.amazon.kinesis.processor.RecordProcessorCheckpointer;
import software.amazon.kinesis.processor.ShardRecordProcessor;
import software.amazon.kinesis.retrieval.KinesisClientRecord;
import software.amazon.kinesis.retrieval.kpl.ExtendedSequenceNumber;

/** Handles the records of one shard as the policy says, and prints what happens. */
final class Processor implements ShardRecordProcessor {
  /** What the workers of this process do with records. */
  static final class Policy {
    /** Store a position in two phases. */
    boolean prepare;
    /** After so many records of the process: store a position inside an aggregate and stop; 0: never. */
    long haltAfter;
    /** After so many records of the process: announce a position, never store it, and hang; 0: never. */
    long hangAfter;
    /** Wait so long when asked to give a shard up. */
    long slowStop;
    final AtomicLong count = new AtomicLong();
    volatile boolean halted;
    Runnable stop;
  }

  private final Journal journal;
  private final Policy policy;
  private final String stream;
  private String shard;
  private long batches;

  Processor(Journal journal, Policy policy, String stream) {
    this.journal = journal;
    this.policy = policy;
    this.stream = stream;
  }

  private void write(String event, Object... members) {
    Object[] all = new Object[members.length + 4];
    all[0] = "stream";
    all[1] = stream;
    all[2] = "shard";
    all[3] = shard;
    System.arraycopy(members, 0, all, 4, members.length);
    journal.write(event, all);
  }

  @Override
  public void initialize(InitializationInput in) {
    shard = in.shardId();
    ExtendedSequenceNumber at = in.extendedSequenceNumber();
    write("leaseGained", "seq", at.sequenceNumber(), "sub", at.subSequenceNumber());
    ExtendedSequenceNumber pending = in.pendingCheckpointSequenceNumber();
    if (pending != null) {
      byte[] state = in.pendingCheckpointState();
      write("pending", "seq", pending.sequenceNumber(), "sub", pending.subSequenceNumber(),
          "state", state == null ? null : new String(state, StandardCharsets.UTF_8));
    }
  }

  @Override
  public void processRecords(ProcessRecordsInput in) {
    if (policy.halted || in.records().isEmpty()) {
      return;
    }
    batches++;
    try {
      for (KinesisClientRecord r : in.records()) {
        ByteBuffer data = r.data().duplicate();
        byte[] bytes = new byte[data.remaining()];
        data.get(bytes);
        write("record", "seq", r.sequenceNumber(), "sub", r.subSequenceNumber(), "key", r.partitionKey(),
            "hashKey", r.explicitHashKey(), "batch", batches, "data", Base64.getEncoder().encodeToString(bytes));
        long n = policy.count.incrementAndGet();
        if (policy.haltAfter > 0 && n >= policy.haltAfter && r.aggregated() && r.subSequenceNumber() % 10 == 5) {
          policy.halted = true;
          in.checkpointer().checkpoint(r.sequenceNumber(), r.subSequenceNumber());
          write("checkpoint", "seq", r.sequenceNumber(), "sub", r.subSequenceNumber());
          policy.stop.run();
          return;
        }
      }
      store(in.checkpointer(), in.records());
    } catch (ShutdownException e) { // the lease is lost, which it learns here
      write("refused", "error", "records: " + e);
    } catch (Exception e) {
      write("failed", "error", "records: " + e);
    }
  }

  private void store(RecordProcessorCheckpointer checkpointer, List<KinesisClientRecord> records) throws Exception {
    KinesisClientRecord last = records.get(records.size() - 1);
    boolean hang = policy.hangAfter > 0 && policy.count.get() >= policy.hangAfter;
    if (policy.prepare || hang) {
      byte[] state = ("state of " + last.sequenceNumber()).getBytes(StandardCharsets.UTF_8);
      PreparedCheckpointer prepared = checkpointer.prepareCheckpoint(last.sequenceNumber(), last.subSequenceNumber(), state);
      write("prepared", "seq", last.sequenceNumber(), "sub", last.subSequenceNumber());
      if (hang) {
        Thread.sleep(Long.MAX_VALUE);
      }
      prepared.checkpoint();
    } else {
      checkpointer.checkpoint();
    }
    write("checkpoint", "seq", last.sequenceNumber(), "sub", last.subSequenceNumber());
  }

  @Override
  public void leaseLost(LeaseLostInput in) {
    write("leaseLost");
  }

  @Override
  public void shardEnded(ShardEndedInput in) {
    write("shardEnding"); // before anyone else can know
    try {
      in.checkpointer().checkpoint();
      write("shardEnded");
    } catch (Exception e) {
      write("failed", "error", "end of the shard: " + e);
    }
  }

  @Override
  public void shutdownRequested(ShutdownRequestedInput in) {
    write("shutdownRequested");
    if (policy.halted) {
      return;
    }
    try {
      Thread.sleep(policy.slowStop);
      in.checkpointer().checkpoint();
    } catch (Exception e) {
      write("failed", "error", "shutdown: " + e);
    }
  }
}

package interop;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy;
import software.amazon.kinesis.processor.MultiStreamTracker;

/** The streams that a file names, a line each in the form account:name:epoch. The file may change all the time. */
final class Streams implements MultiStreamTracker {
  private final Path file;
  private final InitialPositionInStreamExtended position;

  Streams(String file, InitialPositionInStreamExtended position) {
    this.file = Path.of(file);
    this.position = position;
  }

  @Override
  public List<StreamConfig> streamConfigList() {
    try {
      return Files.readAllLines(file).stream()
          .map(line -> new StreamConfig(StreamIdentifier.multiStreamInstance(line), position)).collect(Collectors.toList());
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Override
  public InitialPositionInStreamExtended orphanedStreamInitialPositionInStream() {
    return position;
  }

  @Override
  public FormerStreamsLeasesDeletionStrategy formerStreamsLeasesDeletionStrategy() {
    return new FormerStreamsLeasesDeletionStrategy.AutoDetectionAndDeferredDeletionStrategy() {
      @Override
      public Duration waitPeriodToDeleteFormerStreams() {
        return Duration.ofSeconds(1);
      }
    };
  }
}

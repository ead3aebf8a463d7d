// Scores one customer: Score HOST:PORT MODEL (CVM_TOKEN and CVM_CA as needed).
//
// io.grpc:grpc-netty-shaded, grpc-protobuf and grpc-stub; stubs of proto/ by the protobuf plugin of
// Maven or Gradle with protoc-gen-grpc-java.
import cvm.v1.FrameOuterClass.Column;
import cvm.v1.FrameOuterClass.DoubleValues;
import cvm.v1.FrameOuterClass.Frame;
import cvm.v1.Scoring.ScoreOptions;
import cvm.v1.ScoringServiceGrpc;
import cvm.v1.ScoringServiceOuterClass.ScoreRequest;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

public final class Score {
  private static final Map<String, ?> RETRIES =
      Map.of(
          "methodConfig",
          List.of(
              Map.of(
                  "name", List.of(Map.of("service", "cvm.v1.ScoringService")),
                  "retryPolicy",
                      Map.of(
                          "maxAttempts", 4.0,
                          "initialBackoff", "0.05s",
                          "maxBackoff", "1s",
                          "backoffMultiplier", 2.0,
                          "retryableStatusCodes", List.of("UNAVAILABLE", "RESOURCE_EXHAUSTED")))));

  private static ChannelCredentials credentials() throws Exception {
    String authority = System.getenv("CVM_CA");
    if (authority == null) {
      return InsecureChannelCredentials.create();
    }
    return TlsChannelCredentials.newBuilder().trustManager(new File(authority)).build();
  }

  private static Column numbers(String name, double... values) {
    DoubleValues.Builder doubles = DoubleValues.newBuilder();
    for (double value : values) {
      doubles.addValues(value);
    }
    return Column.newBuilder().setName(name).setDoubles(doubles).build();
  }

  public static void main(String[] arguments) throws Exception {
    ManagedChannel channel =
        Grpc.newChannelBuilder(arguments[0], credentials())
            .defaultLoadBalancingPolicy("round_robin")
            .defaultServiceConfig(RETRIES)
            .enableRetry()
            .maxInboundMessageSize(64 << 20)
            .build();
    Metadata headers = new Metadata();
    if (System.getenv("CVM_TOKEN") != null) {
      headers.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
          "Bearer " + System.getenv("CVM_TOKEN"));
    }
    Frame frame =
        Frame.newBuilder()
            .setRowCount(1)
            .addColumns(numbers("frequency", 2))
            .addColumns(numbers("recency", 30.43))
            .addColumns(numbers("T", 38.86))
            .build();
    ScoreOptions options =
        ScoreOptions.newBuilder().setHorizonPeriods(39).addOutputs("expected_purchases").build();
    ScoreRequest request =
        ScoreRequest.newBuilder()
            .setModel(arguments[1])
            .setFrame(frame)
            .setOptions(options)
            .build();
    try {
      var answer =
          ScoringServiceGrpc.newBlockingStub(channel)
              .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers))
              .withDeadlineAfter(2, TimeUnit.SECONDS)
              .score(request);
      System.out.println(answer.getOutputs(0).getDoubles().getValues(0));
    } finally {
      channel.shutdown();
    }
  }
}

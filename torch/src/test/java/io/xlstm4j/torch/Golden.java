package io.xlstm4j.torch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.TensorSource;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Arrays;
import org.bytedeco.pytorch.Tensor;

/// A fixture made by the official implementations.
record Golden(TensorSource source) implements AutoCloseable {
  static Golden open(String name) {
    try {
      var resource = Golden.class.getResource("/golden/" + name + ".safetensors");
      return new Golden(SafetensorsFile.open(Path.of(resource.toURI())));
    } catch (URISyntaxException e) {
      throw new AssertionError(e);
    }
  }

  /// A float64 tensor.
  Tensor doubles(String name) {
    return Tensors.of(source.doubles(name), source.info(name).shape());
  }

  /// A float64 tensor that collects a gradient.
  Tensor leaf(String name) {
    return doubles(name).set_requires_grad(true);
  }

  int[] ints(String name) {
    return Arrays.stream(source.longs(name)).mapToInt(Math::toIntExact).toArray();
  }

  @Override
  public void close() {
    source.close();
  }

  /// Every number within `tolerance` of the expected one.
  static void assertClose(String what, Tensor actual, Tensor expected, double tolerance) {
    assertThat(Ops.shape(actual)).as(what + " shape").isEqualTo(Ops.shape(expected));
    assertThat(largestDifference(actual, expected)).as(what).isCloseTo(0, within(tolerance));
  }

  /// The largest difference is within `tolerance` of the largest expected number.
  static void assertCloseRelative(String what, Tensor actual, Tensor expected, double tolerance) {
    assertThat(Ops.shape(actual)).as(what + " shape").isEqualTo(Ops.shape(expected));
    double scale = Arrays.stream(Tensors.doubles(expected)).map(Math::abs).max().orElseThrow();
    assertThat(largestDifference(actual, expected)).as(what).isLessThanOrEqualTo(tolerance * scale);
  }

  static double largestDifference(Tensor a, Tensor b) {
    double[] x = Tensors.doubles(a);
    double[] y = Tensors.doubles(b);
    double largest = 0;
    for (int i = 0; i < x.length; i++) {
      double difference = Math.abs(x[i] - y[i]);
      if (Double.isNaN(difference)) {
        return Double.NaN;
      }
      largest = Math.max(largest, difference);
    }
    return largest;
  }
}

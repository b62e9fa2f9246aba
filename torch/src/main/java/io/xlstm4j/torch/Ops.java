package io.xlstm4j.torch;

import static org.bytedeco.pytorch.global.torch.cat;
import static org.bytedeco.pytorch.global.torch.layer_norm;
import static org.bytedeco.pytorch.global.torch.linear;
import static org.bytedeco.pytorch.global.torch.stack;
import static org.bytedeco.pytorch.global.torch.where;
import static org.bytedeco.pytorch.global.torch.zeros;

import java.util.Arrays;
import java.util.List;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.DeviceOptional;
import org.bytedeco.pytorch.LayoutOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.ScalarTypeOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.jspecify.annotations.Nullable;

/// Small names for what libtorch spells at length, so that model code reads like its equations.
final class Ops {
  private Ops() {}

  static Scalar number(double value) {
    return new Scalar(value);
  }

  static Tensor times(Tensor x, double factor) {
    return x.mul(number(factor));
  }

  /// `x + 1`, the stored norm weights being residual.
  static Tensor onePlus(Tensor x) {
    return x.add(number(1.0));
  }

  /// Returns the options of a new tensor. Every tensor of a model is made with a device: libtorch's
  /// default is the CPU, where a model on a GPU cannot use it.
  static TensorOptions options(ScalarType type, Device device) {
    return new TensorOptions(type).device(new DeviceOptional(device));
  }

  /// Zeros of the type and device of `like`.
  static Tensor zerosLike(Tensor like, long... shape) {
    return zeros(
        shape,
        new ScalarTypeOptional(like.scalar_type()),
        new LayoutOptional(),
        new DeviceOptional(like.device()),
        new BoolOptional());
  }

  /// Zeros of the type and device of a model's parameters.
  static Tensor zerosOf(Parameters parameters, long... shape) {
    return zeros(
        shape,
        new ScalarTypeOptional(parameters.type()),
        new LayoutOptional(),
        new DeviceOptional(parameters.device()),
        new BoolOptional());
  }

  static Tensor concat(long dim, Tensor... parts) {
    return cat(new TensorVector(parts), dim);
  }

  static Tensor stackAll(List<Tensor> parts, long dim) {
    return stack(new TensorVector(parts.toArray(Tensor[]::new)), dim);
  }

  /// `x Wᵀ + b` in the type of x, with W `(out, in)`.
  static Tensor project(Tensor x, Tensor weight, @Nullable Tensor bias) {
    Tensor w = weight.type_as(x);
    return bias == null ? linear(x, w) : linear(x, w, new TensorOptional(bias.type_as(x)));
  }

  /// A tensor that its module always has.
  static Tensor present(@Nullable Tensor x) {
    if (x == null) {
      throw new AssertionError("this tensor is always made");
    }
    return x;
  }

  /// Normalises the last axis to mean 0 and biased variance 1; no weight.
  static Tensor normalize(Tensor x, double eps) {
    return layer_norm(
        x, new long[] {x.size(-1)}, new TensorOptional(), new TensorOptional(), eps, false);
  }

  /// `yes` where `mask`, else the number `no`.
  static Tensor whereElse(Tensor mask, Tensor yes, double no) {
    return where(mask, yes, number(no));
  }

  /// Sum over the last axis, which goes away.
  static Tensor sumLast(Tensor x) {
    return x.sum(-1L);
  }

  /// `cap tanh(x / cap)`: x where it is small, never beyond the cap.
  static Tensor softCap(Tensor x, double cap) {
    return times(times(x, 1 / cap).tanh(), cap);
  }

  /// A trailing axis of one.
  static Tensor column(Tensor x) {
    return x.unsqueeze(-1);
  }

  /// `float32` for the half types, else `x` itself: gates and states are never narrower.
  static Tensor atLeastFloat32(Tensor x) {
    ScalarType type = x.scalar_type().intern(); // the presets make a new object each time
    return type == ScalarType.BFloat16 || type == ScalarType.Half ? x.to(ScalarType.Float) : x;
  }

  /// Checks a shape, -1 standing for any size.
  ///
  /// @throws IllegalArgumentException that names the tensor, the expected shape and the actual one
  static void expectShape(String name, Tensor x, String letters, long... expected) {
    long[] actual = shape(x);
    boolean fits = actual.length == expected.length;
    for (int i = 0; fits && i < actual.length; i++) {
      fits = expected[i] < 0 || expected[i] == actual[i];
    }
    if (!fits) {
      throw new IllegalArgumentException(
          "%s must have shape %s = %s, but has %s"
              .formatted(name, letters, Arrays.toString(expected), Arrays.toString(actual)));
    }
  }

  static long[] shape(Tensor x) {
    long[] shape = new long[(int) x.dim()];
    for (int i = 0; i < shape.length; i++) {
      shape[i] = x.size(i);
    }
    return shape;
  }

  /// `(length, length)`, true where column <= row.
  static Tensor causal(long length, Tensor like) {
    return torch
        .ones(
            new long[] {length, length},
            new ScalarTypeOptional(ScalarType.Bool),
            new LayoutOptional(),
            new DeviceOptional(like.device()),
            new BoolOptional())
        .tril();
  }

  /// `0, 1, ... count-1` as int64, on the device of `like`.
  static Tensor range(long count, Tensor like) {
    return torch
        .arange(number((double) count), new TensorOptions(like.device()))
        .to(ScalarType.Long);
  }
}

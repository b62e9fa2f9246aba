package io.xlstm4j.cuda.driver;

/// A call of NVIDIA's driver that failed.
public final class CudaException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final String call;
  private final int code;
  private final String errorName;

  CudaException(String call, int code, String errorName, String description) {
    super("%s failed: %s (%d), %s".formatted(call, errorName, code, description));
    this.call = call;
    this.code = code;
    this.errorName = errorName;
  }

  /// The driver's function, for example `cuMemAlloc_v2`.
  public String call() {
    return call;
  }

  /// The driver's number for the error.
  public int code() {
    return code;
  }

  /// The driver's name for the error, for example `CUDA_ERROR_OUT_OF_MEMORY`.
  public String errorName() {
    return errorName;
  }
}

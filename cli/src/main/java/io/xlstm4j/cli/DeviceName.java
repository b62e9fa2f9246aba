package io.xlstm4j.cli;

import io.xlstm4j.torch.Torch;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/// Takes the value of `--device`: a kind of device that there is, whether this machine has it or
/// not.
final class DeviceName implements ITypeConverter<String> {
  @Override
  public String convert(String value) {
    if (!Torch.isDeviceName(value)) {
      throw new TypeConversionException(
          "--device (%s) must be cpu, cuda or cuda:N".formatted(value));
    }
    return value;
  }
}

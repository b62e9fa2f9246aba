package io.xlstm4j.runtime;

import io.xlstm4j.core.InvalidInputException;
import io.xlstm4j.core.OneLine;
import io.xlstm4j.core.safetensors.DType;
import io.xlstm4j.core.safetensors.SafetensorsFile;
import io.xlstm4j.core.safetensors.SafetensorsWriter;
import io.xlstm4j.core.safetensors.TensorData;
import io.xlstm4j.core.safetensors.TensorInfo;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// A sequence in a file: safetensors, one float32 tensor for each part of the state, and `logits`
/// if the sequence has read a token. The header's strings say what it is: format, model, position,
/// and the SHA-256 of all of it.
final class StateFile {
  private static final String FORMAT = "xlstm4j-row-1";
  private static final String LOGITS = "logits";
  private static final Pattern POSITION = Pattern.compile("0|[1-9][0-9]{0,17}");

  private StateFile() {}

  static void write(Sequence row, Path file) {
    var tensors = new ArrayList<TensorData>();
    for (StateLayout.Part part : row.model().layout().parts()) {
      MemorySegment data = MlstmCell.slice(row.state(), part.at(), part.floats());
      tensors.add(new TensorData(part.name(), DType.F32, part.shape(), data));
    }
    if (row.hasLogits()) {
      tensors.add(TensorData.of(LOGITS, DType.F32, new long[] {row.logits().length}, row.logits()));
    }
    String model = row.model().fingerprint();
    String position = Long.toString(row.position());
    MessageDigest digest = begin(model, position);
    tensors.forEach(tensor -> add(digest, tensor.name(), tensor.data()));
    var strings = new LinkedHashMap<String, String>();
    strings.put("format", FORMAT);
    strings.put("model", model);
    strings.put("position", position);
    strings.put("sha256", HexFormat.of().formatHex(digest.digest()));
    SafetensorsWriter.write(file, tensors, strings);
  }

  /// Fills a fresh sequence. If it throws, the sequence is of no use.
  static void read(Sequence row, Path file) {
    String where = OneLine.of(file);
    try (var source = SafetensorsFile.open(file)) {
      Map<String, String> strings = source.metadata();
      String position = checkStrings(row.model(), strings, where);
      boolean logits = checkTensors(row.model(), source, where);
      MessageDigest digest = begin(row.model().fingerprint(), position);
      for (StateLayout.Part part : row.model().layout().parts()) {
        add(digest, part.name(), source.data(part.name()));
      }
      if (logits) {
        add(digest, LOGITS, source.data(LOGITS));
      }
      if (!HexFormat.of().formatHex(digest.digest()).equals(strings.get("sha256"))) {
        throw new InvalidStateException(
            where + ": damaged: its content and its sha256 do not agree");
      }
      fill(row, source, Long.parseLong(position), logits);
    } catch (InvalidStateException e) {
      throw e;
    } catch (InvalidInputException e) {
      throw new InvalidStateException(String.valueOf(e.getMessage()), e);
    }
  }

  /// @return the position
  private static String checkStrings(
      RuntimeModel model, Map<String, String> strings, String where) {
    @Nullable String format = strings.get("format");
    if (!FORMAT.equals(format)) {
      throw new InvalidStateException(
          "%s: not a saved row: format is %s, must be %s"
              .formatted(where, format == null ? "missing" : OneLine.quote(format), FORMAT));
    }
    @Nullable String of = strings.get("model");
    if (!model.fingerprint().equals(of)) {
      throw new InvalidStateException(
          "%s: of another model: it was saved with %s, this one is %s"
              .formatted(where, of == null ? "none" : OneLine.quote(of), model.fingerprint()));
    }
    @Nullable String position = strings.get("position");
    if (position == null || !POSITION.matcher(position).matches()) {
      throw new InvalidStateException(
          "%s: position is %s, must be a whole number"
              .formatted(where, position == null ? "missing" : OneLine.quote(position)));
    }
    return position;
  }

  /// @return whether there are logits
  private static boolean checkTensors(RuntimeModel model, SafetensorsFile source, String where) {
    var shapes = new LinkedHashMap<String, long[]>();
    model.layout().parts().forEach(part -> shapes.put(part.name(), part.shape()));
    boolean logits = source.tensors().containsKey(LOGITS);
    if (logits) {
      shapes.put(LOGITS, new long[] {model.vocabSize()});
    }
    if (!source.tensors().keySet().equals(shapes.keySet())) {
      throw new InvalidStateException(
          "%s: holds %d tensors that are not the %d parts of this model's state"
              .formatted(where, source.tensors().size(), shapes.size()));
    }
    for (TensorInfo info : source.tensors().values()) {
      long[] shape = shapes.get(info.name());
      if (info.dtype() != DType.F32 || !Arrays.equals(info.shape(), shape)) {
        throw new InvalidStateException(
            "%s: %s is %s %s, must be F32 %s"
                .formatted(
                    where,
                    OneLine.quote(info.name()),
                    info.dtype(),
                    Arrays.toString(info.shape()),
                    Arrays.toString(shape)));
      }
    }
    return logits;
  }

  private static MessageDigest begin(String model, String position) {
    MessageDigest digest = Fingerprint.sha256();
    digest.update(
        (FORMAT + "\n" + model + "\n" + position + "\n").getBytes(StandardCharsets.UTF_8));
    return digest;
  }

  private static void add(MessageDigest digest, String name, MemorySegment data) {
    digest.update((name + "\n").getBytes(StandardCharsets.UTF_8));
    int piece = 1 << 16;
    for (long at = 0; at < data.byteSize(); at += piece) {
      long count = Math.min(piece, data.byteSize() - at);
      digest.update(data.asSlice(at, count).toArray(ValueLayout.JAVA_BYTE));
    }
  }

  private static void fill(Sequence row, SafetensorsFile source, long position, boolean logits) {
    for (StateLayout.Part part : row.model().layout().parts()) {
      MlstmCell.slice(row.state(), part.at(), part.floats()).copyFrom(source.data(part.name()));
    }
    float[] target = row.restored(position, logits);
    if (logits) {
      float[] values = source.floats(LOGITS);
      System.arraycopy(values, 0, target, 0, values.length);
    }
  }
}

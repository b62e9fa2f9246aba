package io.xlstm4j.core.safetensors;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.xlstm4j.core.InvalidInputException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class HostileHeaderTest {
  @TempDir Path folder;

  private static String tensor(String name, String dtype, String shape, String offsets) {
    return "\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":%s}"
        .formatted(name, dtype, shape, offsets);
  }

  /// The fault, the header, the size of the data, what the message must say.
  static Stream<Arguments> headers() {
    String good = tensor("w", "F32", "[2]", "[0,8]");
    return Stream.of(
        arguments("a leading space", " {}", 0, "must start with '{'"),
        arguments("an array", "[]", 0, "must start with '{'"),
        arguments("a byte order mark", "\ufeff{}", 0, "must start with '{'"),
        arguments("an open object", "{", 0, "not valid JSON"),
        arguments("an open string", "{\"w", 0, "not valid JSON"),
        arguments("a comment", "{/**/}", 0, "not valid JSON"),
        arguments("a trailing comma", "{" + good + ",}", 8, "not valid JSON"),
        arguments("text at the end", "{}x", 0, "not valid JSON"),
        arguments("a value at the end", "{} {}", 0, "text after the end of the JSON value"),
        arguments("a zero byte at the end", "{}\0", 0, "not valid JSON"),
        arguments("a tensor given twice", "{" + good + "," + good + "}", 8, "Duplicate"),
        arguments(
            "a key given twice", "{\"w\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, "Duplicate"),
        arguments(
            "metadata given twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, "Duplicate"),
        arguments(
            "metadata that is a list",
            "{\"__metadata__\":[]}",
            0,
            "__metadata__ must be an object, but is an array"),
        arguments(
            "metadata with a number",
            "{\"__metadata__\":{\"epoch\":1}}",
            0,
            "__metadata__ 'epoch' must be a string, but is an integer"),
        arguments("a tensor that is null", "{\"w\":null}", 0, "'w' must be an object, but is null"),
        arguments(
            "an unknown dtype",
            "{" + tensor("w", "F8", "[]", "[0,1]") + "}",
            1,
            "tensor 'w': unknown dtype 'F8'; known are [F64, F32, BF16, F16, I64, I32, I8, U8]"),
        arguments(
            "a dtype in lower case", "{" + tensor("w", "f32", "[]", "[0,4]") + "}", 4, "'f32'"),
        arguments(
            "a dtype that is a number", "{\"w\":{\"dtype\":32}}", 0, "dtype must be a string"),
        arguments(
            "no dtype", "{\"w\":{\"shape\":[],\"data_offsets\":[0,4]}}", 4, "'w': has no dtype"),
        arguments(
            "no shape", "{\"w\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "has no shape"),
        arguments(
            "no offsets", "{\"w\":{\"dtype\":\"U8\",\"shape\":[]}}", 0, "has no data_offsets"),
        arguments("an unknown key", "{\"w\":{\"stride\":[1]}}", 0, "unknown key 'stride'"),
        arguments(
            "a shape that is a number",
            "{" + tensor("w", "U8", "1", "[0,1]") + "}",
            1,
            "shape must be an array, but is an integer"),
        arguments(
            "a negative size",
            "{" + tensor("w", "U8", "[-1]", "[0,1]") + "}",
            1,
            "shape must not be negative, but is -1"),
        arguments(
            "a size with a fraction",
            "{" + tensor("w", "U8", "[1.0]", "[0,1]") + "}",
            1,
            "shape must be an integer that is not negative, but is a number with a fraction"),
        arguments(
            "a size with an exponent", "{" + tensor("w", "U8", "[1e0]", "[0,1]") + "}", 1, "shape"),
        arguments(
            "a size that is a list", "{" + tensor("w", "U8", "[[1]]", "[0,1]") + "}", 1, "shape"),
        arguments(
            "a size that is null", "{" + tensor("w", "U8", "[null]", "[0,1]") + "}", 1, "shape"),
        arguments(
            "a size of 2^63",
            "{" + tensor("w", "U8", "[9223372036854775808]", "[0,1]") + "}",
            1,
            "shape must be below 2^63, but is 9223372036854775808"),
        arguments(
            "a size of 999 digits",
            "{" + tensor("w", "U8", "[" + "9".repeat(999) + "]", "[0,1]") + "}",
            1,
            "shape must be below 2^63"),
        arguments(
            "a size of a million digits",
            "{" + tensor("w", "U8", "[" + "9".repeat(1_000_000) + "]", "[0,1]") + "}",
            1,
            "not valid JSON"),
        arguments(
            "sizes whose product overflows",
            "{" + tensor("w", "U8", "[4294967296,4294967296]", "[0,0]") + "}",
            0,
            "shape [4294967296, 4294967296] of U8 overflows 2^63 - 1 bytes"),
        arguments(
            "sizes whose product is 2^64, so zero when wrapped",
            "{" + tensor("w", "F32", "[4611686018427387904]", "[0,0]") + "}",
            0,
            "overflows"),
        arguments(
            "a shape of a million sizes",
            "{" + tensor("w", "U8", "[" + "1,".repeat(1_000_000) + "1]", "[0,1]") + "}",
            1,
            "tensor 'w': shape has more than 64 numbers"),
        arguments(
            "an element count that fits, but not its bytes",
            "{" + tensor("w", "F64", "[1152921504606846976]", "[0,0]") + "}",
            0,
            "overflows"),
        arguments(
            "reversed offsets",
            "{" + tensor("w", "U8", "[4]", "[4,0]") + "}",
            4,
            "tensor 'w': data_offsets [4, 0] are reversed"),
        arguments(
            "one offset",
            "{" + tensor("w", "U8", "[]", "[0]") + "}",
            1,
            "must be 2 numbers, but are 1"),
        arguments(
            "three offsets",
            "{" + tensor("w", "U8", "[]", "[0,1,2]") + "}",
            1,
            "must be 2 numbers, but are 3"),
        arguments(
            "a negative offset",
            "{" + tensor("w", "U8", "[1]", "[-1,0]") + "}",
            1,
            "must not be negative"),
        arguments(
            "offsets that do not fit the shape",
            "{" + tensor("w", "F32", "[2,2]", "[0,12]") + "}",
            12,
            "tensor 'w': data_offsets [0, 12] span 12 bytes, but shape [2, 2] of F32 needs 16"),
        arguments(
            "offsets beyond the data",
            "{" + good + "}",
            7,
            "tensor 'w': ends at byte 8, but the data has 7"),
        arguments(
            "offsets at the end of all numbers",
            "{" + tensor("w", "U8", "[1]", "[9223372036854775806,9223372036854775807]") + "}",
            1,
            "ends at byte 9223372036854775807"),
        arguments(
            "an overlap",
            "{" + good + "," + tensor("v", "F32", "[2]", "[4,12]") + "}",
            12,
            "tensor 'v': begins at byte 4, but the one before ends at 8: they overlap"),
        arguments(
            "two tensors on the same bytes",
            "{" + good + "," + tensor("v", "F32", "[2]", "[0,8]") + "}",
            8,
            "they overlap"),
        arguments(
            "a hole",
            "{" + good + "," + tensor("v", "U8", "[1]", "[9,10]") + "}",
            10,
            "tensor 'v': begins at byte 9, but the one before ends at 8: a hole"),
        arguments(
            "a hole at the start", "{" + tensor("v", "U8", "[1]", "[1,2]") + "}", 2, "a hole"),
        arguments(
            "an empty tensor in the middle of another",
            "{" + good + "," + tensor("v", "U8", "[0]", "[4,4]") + "}",
            8,
            "they overlap"),
        arguments(
            "bytes at the end",
            "{" + good + "}",
            9,
            "the tensors end at byte 8, but the data has 9"),
        arguments("data without tensors", "{}", 1, "the tensors end at byte 0, but the data has 1"),
        arguments(
            "nesting of a million", "{\"w\":" + "[".repeat(1_000_000), 0, "'w' must be an object"),
        arguments(
            "nesting of a million objects", "{\"w\":".repeat(1_000_000), 0, "'w': unknown key 'w'"),
        arguments(
            "a name of a million characters",
            "{\"" + "w".repeat(1_000_000) + "\":1}",
            0,
            "not valid JSON"),
        arguments(
            "a string of 20 million characters",
            "{\"__metadata__\":{\"k\":\"" + "v".repeat(20_000_000) + "\"}}",
            0,
            "not valid JSON"),
        arguments(
            "a name of half a character",
            "{\"\\ud800\":1}",
            0,
            "Broken surrogate pair in field name"),
        arguments(
            "metadata of half a character",
            "{\"__metadata__\":{\"k\":\"\\udc00\"}}",
            0,
            "unpaired surrogate"),
        arguments(
            "a name with line breaks", "{\"a\\nb\\u2028c\":1}", 0, "tensor 'a\\u000ab\\u2028c'"),
        arguments("a raw line break in a name", "{\"a\nb\":1}", 0, "not valid JSON"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("headers")
  void is_refused_in_one_line_that_names_the_file(
      String what, String header, int dataBytes, String message) {
    Path file = RawFile.write(folder.resolve("x.safetensors"), RawFile.bytes(header, dataBytes));
    requireRefused(file, message);
  }

  /// The fault, the bytes of the file, what the message must say.
  static Stream<Arguments> files() {
    byte[] latin1 = "{\"é\":1}".getBytes(StandardCharsets.ISO_8859_1);
    byte[] overlong = {'{', '"', (byte) 0xc0, (byte) 0xaf, '"', ':', '1', '}'};
    byte[] surrogate = {'{', '"', (byte) 0xed, (byte) 0xa0, (byte) 0x80, '"', ':', '1', '}'};
    byte[] cut = {'{', (byte) 0xe2, (byte) 0x82};
    byte[] utf16 = "{}".getBytes(StandardCharsets.UTF_16LE);
    byte[] empty = "{}".getBytes(StandardCharsets.UTF_8);
    return Stream.of(
        arguments(
            "no byte", new byte[0], "0 bytes long, but the length of the header alone takes 8"),
        arguments("seven bytes", new byte[7], "7 bytes long"),
        arguments("a header of length 0", RawFile.lengthAnd(0, empty, 0), "header length (0)"),
        arguments(
            "a header of 2^63 bytes",
            RawFile.lengthAnd(Long.MIN_VALUE, empty, 0),
            "header length (9223372036854775808) must be from 1 to 100000000"),
        arguments(
            "a header of 2^64 - 1 bytes",
            RawFile.lengthAnd(-1, empty, 0),
            "(18446744073709551615)"),
        arguments(
            "a header of 100,000,001 bytes",
            RawFile.lengthAnd(100_000_001, empty, 0),
            "(100000001)"),
        arguments(
            "a header longer than the file",
            RawFile.lengthAnd(3, empty, 0),
            "header length (3) exceeds the rest of the file (2 bytes)"),
        arguments(
            "a pickle",
            "PK\3\4\0\0\10\10\0\0\0\0".getBytes(StandardCharsets.ISO_8859_1),
            "not a safetensors file?"),
        arguments("Latin-1", RawFile.bytes(latin1, 0), "not UTF-8"),
        arguments("a longer form of a character", RawFile.bytes(overlong, 0), "not UTF-8"),
        arguments("a surrogate as bytes", RawFile.bytes(surrogate, 0), "not UTF-8"),
        arguments("half a character at the end", RawFile.bytes(cut, 0), "not UTF-8"),
        arguments("UTF-16", RawFile.bytes(utf16, 0), "not valid JSON"));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource("files")
  void is_refused_before_anything_is_allocated_by_it(String what, byte[] bytes, String message) {
    requireRefused(RawFile.write(folder.resolve("x.safetensors"), bytes), message);
  }

  private static void requireRefused(Path file, String message) {
    assertThatThrownBy(() -> SafetensorsFile.open(file))
        .isExactlyInstanceOf(InvalidInputException.class)
        .hasMessageStartingWith(file + ": ")
        .hasMessageContaining(message)
        .message()
        .hasLineCount(1)
        .hasSizeLessThan(800);
  }

  @Test
  void unusual_but_valid_headers_are_read() {
    String scalar = tensor("s", "U8", "[]", "[0,1]");
    String empty = tensor("e", "F64", "[3,0]", "[1,1]");
    String late = tensor("late", "F32", "[1]", "[1,5]");
    Path file =
        RawFile.write(
            folder.resolve("x.safetensors"),
            RawFile.bytes("{" + late + "," + empty + " ,\n\t" + scalar + "}   ", 5));
    try (var source = SafetensorsFile.open(file)) {
      assertThat(source.tensors().keySet()).containsExactly("s", "e", "late"); // as the data lies
      assertThat(source.metadata()).isEmpty();
      assertThat(source.floats("late")).containsExactly(0); // begins at an odd byte
    }
  }

  @Test
  void a_file_without_tensors_is_read() {
    Path file = RawFile.write(folder.resolve("x.safetensors"), RawFile.bytes("{}", 0));
    try (var source = SafetensorsFile.open(file)) {
      assertThat(source.tensors()).isEmpty();
    }
  }

  @Test
  void ten_thousand_tensors_are_read() {
    String header =
        IntStream.range(0, 10_000)
            .mapToObj(i -> tensor("w" + i, "U8", "[1]", "[%d,%d]".formatted(i, i + 1)))
            .collect(Collectors.joining(",", "{", "}"));
    Path file = RawFile.write(folder.resolve("x.safetensors"), RawFile.bytes(header, 10_000));
    try (var source = SafetensorsFile.open(file)) {
      assertThat(source.tensors()).hasSize(10_000);
      assertThat(source.info("w9999").begin()).isEqualTo(9_999);
    }
  }
}

package io.xlstm4j.core.config;

import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Puts the keys that somebody types in the place of the components of a record: `numHeads` becomes
/// `model.num_heads`.
final class KeyNames {
  /// A record whose keys stand beside those of the record that holds it.
  private static final String FLAT = "block_stack";

  private static final Pattern NAME = Pattern.compile("[a-zA-Z]\\w*(\\.[a-z]\\w*)*( \\()?");

  private static final Pattern CAMEL = Pattern.compile("[a-z][a-z0-9]*([A-Z][a-z0-9]+)+");

  private KeyNames() {}

  /// `message` with keys.
  ///
  /// @param root the record of the whole section
  /// @param section what its keys begin with, such as `model.`; may be empty
  /// @param path keys from the root to the record that refused a value
  static String inMessage(String message, Class<?> root, String section, List<String> path) {
    Class<?> failing = at(root, path);
    String within = section + dotted(path);
    Matcher names = NAME.matcher(message);
    var text = new StringBuilder();
    while (names.find()) {
      String name = names.group();
      boolean shown = name.endsWith(" (");
      String bare = shown ? name.substring(0, name.length() - 2) : name;
      String key = key(bare, shown || names.start() == 0, failing, root, section, within);
      names.appendReplacement(
          text, Matcher.quoteReplacement(key == null ? name : key + (shown ? " (" : "")));
    }
    return names.appendTail(text).toString();
  }

  /// Keys joined, each followed by a dot.
  static String dotted(List<String> path) {
    return path.stream()
        .filter(key -> !key.equals(FLAT))
        .map(key -> key + ".")
        .reduce("", String::concat);
  }

  private static @Nullable String key(
      String name,
      boolean isSubject,
      Class<?> failing,
      Class<?> root,
      String section,
      String within) {
    String first = name.contains(".") ? name.substring(0, name.indexOf('.')) : name;
    boolean camel = CAMEL.matcher(first).matches();
    if (has(failing, first)) {
      return camel || isSubject || name.contains(".") || name.contains("_")
          ? within + snake(name)
          : null;
    }
    if (!camel) {
      return null;
    }
    String found = find(root, first);
    if (found != null) {
      return section + found;
    }
    return isSubject ? within + snake(name) : snake(name);
  }

  private static Class<?> at(Class<?> root, List<String> path) {
    Class<?> type = root;
    for (String key : path) {
      Class<?> next = component(type, key);
      if (next != null) {
        type = next;
      }
    }
    return type;
  }

  /// The record that a component holds, itself or in a list; null if there is none.
  private static @Nullable Class<?> component(Class<?> type, String key) {
    return components(type)
        .filter(component -> snake(component.getName()).equals(key))
        .map(component -> recordOf(component.getGenericType()))
        .filter(Objects::nonNull)
        .findFirst()
        .orElse(null);
  }

  private static @Nullable Class<?> recordOf(Type type) {
    if (type instanceof Class<?> plain) {
      return plain.isRecord() ? plain : null;
    }
    return type instanceof ParameterizedType list && list.getActualTypeArguments().length == 1
        ? recordOf(list.getActualTypeArguments()[0])
        : null;
  }

  private static Stream<RecordComponent> components(Class<?> type) {
    return type.isRecord() ? Arrays.stream(type.getRecordComponents()) : Stream.empty();
  }

  private static boolean has(Class<?> type, String name) {
    return components(type)
        .map(RecordComponent::getName)
        .anyMatch(component -> component.equals(name) || snake(component).equals(name));
  }

  /// The key of a component of that name somewhere below, the nearest first.
  private static @Nullable String find(Class<?> type, String name) {
    if (has(type, name)) {
      return snake(name);
    }
    return components(type)
        .map(component -> {
          Class<?> inner = recordOf(component.getGenericType());
          String below = inner == null ? null : find(inner, name);
          String key = snake(component.getName());
          return below == null ? null : key.equals(FLAT) ? below : key + "." + below;
        })
        .filter(Objects::nonNull)
        .findFirst()
        .orElse(null);
  }

  /// A name of Java as a key.
  static String snake(String name) {
    return name.replaceAll("(?<=[a-z0-9])(?=[A-Z])", "_").toLowerCase(Locale.ROOT);
  }
}

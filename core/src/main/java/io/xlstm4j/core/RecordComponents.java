package io.xlstm4j.core;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.RecordComponent;
import org.jspecify.annotations.Nullable;

/// Copies of records with another component, for the `with` methods of configurations.
///
/// ```java
/// public Point withX(double value) {
///   return RecordComponents.with(this, "x", value);
/// }
/// ```
public final class RecordComponents {
  private RecordComponents() {}

  /// Returns a copy of a record in which one component has another value. The copy is made, and
  /// checked, by the record's canonical constructor.
  ///
  /// @param component the name of a component of a public record
  /// @throws IllegalArgumentException if the record refuses the value
  public static <R extends Record> R with(R record, String component, @Nullable Object value) {
    @SuppressWarnings("unchecked") // a record's own class
    Class<R> type = (Class<R>) record.getClass();
    RecordComponent[] components = type.getRecordComponents();
    var types = new Class<?>[components.length];
    var values = new @Nullable Object[components.length];
    boolean found = false;
    try {
      for (int i = 0; i < components.length; i++) {
        types[i] = components[i].getType();
        boolean replaced = components[i].getName().equals(component);
        values[i] = replaced ? value : components[i].getAccessor().invoke(record);
        found |= replaced;
      }
      if (!found) {
        throw new IllegalArgumentException(type.getName() + " has no component " + component);
      }
      return type.getConstructor(types).newInstance(values);
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof RuntimeException refused) {
        throw refused;
      }
      throw new IllegalStateException(type.getName() + " cannot be copied", e);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(type.getName() + " cannot be copied", e);
    }
  }
}

/// JMH benchmarks of every kernel, vector and scalar.
@NullMarked
package io.xlstm4j.bench.jmh;

import org.jspecify.annotations.NullMarked;

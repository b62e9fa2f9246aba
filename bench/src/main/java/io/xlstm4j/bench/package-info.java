/// Benchmarks: cases that the program and JMH measure, and the comparison with the peers.
@NullMarked
package io.xlstm4j.bench;

import org.jspecify.annotations.NullMarked;

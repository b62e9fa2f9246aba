/// The cells' mathematics on float32 memory, forward and backward. Each kernel is a pair: plain
/// loops that define it, and the Vector API that speeds it up.
@NullMarked
package io.xlstm4j.kernels;

import org.jspecify.annotations.NullMarked;

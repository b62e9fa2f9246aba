/// Training on several processes at once: each computes the gradients of its share of the
/// sequences, and all move by the sum.
@org.jspecify.annotations.NullMarked
package io.xlstm4j.train.parallel;

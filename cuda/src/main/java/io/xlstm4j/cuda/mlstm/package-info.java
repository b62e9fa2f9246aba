/// The mLSTM cell on the GPU: whole sequences, chunk by chunk, forward and backward.
@NullMarked
package io.xlstm4j.cuda.mlstm;

import org.jspecify.annotations.NullMarked;

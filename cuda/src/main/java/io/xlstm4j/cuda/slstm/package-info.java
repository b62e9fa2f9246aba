/// The sLSTM cell on the GPU: a whole sequence in one launch, forward and backward.
@NullMarked
package io.xlstm4j.cuda.slstm;

import org.jspecify.annotations.NullMarked;

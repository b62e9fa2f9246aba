/// The folder of a run: what lies in it, and how states get there and back.
@NullMarked
package io.xlstm4j.train.run;

import org.jspecify.annotations.NullMarked;

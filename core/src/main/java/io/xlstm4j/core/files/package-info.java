/// Writing to disk so that a crash leaves either the old bytes or the new ones.
@NullMarked
package io.xlstm4j.core.files;

import org.jspecify.annotations.NullMarked;

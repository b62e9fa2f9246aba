@NullMarked
package io.xlstm4j.text;

import org.jspecify.annotations.NullMarked;

/// Model configurations as records that cannot be wrong, and the strict way from a file to them.
@NullMarked
package io.xlstm4j.core.config;

import org.jspecify.annotations.NullMarked;

// The products of the mLSTM cell over chunks, on any chip with mma.sync.
//
// - states: C at the start of every chunk, and its gradient at the end of every chunk. A block keeps 128 x 128 of a pair's
//   state in registers and goes over the chunks of a segment.
// - scores: within a chunk, the weights of its tokens for each other (forward), and the gradients of these (backward).
// - results: h, dq, dk, dv. Each is the sum of a product with a state and of one with the tokens of the chunk.
#include "tiles.cuh"

// ---- Operands

// Tokens of a chunk: rows are tokens.
__device__ __forceinline__ Operand tokens(const Work &a, const Pair &p, const bf16 *planes, int width, int chunk) {
  const int padded = paddedTo8(width), first = chunk * a.chunk;
  return {planes + p.gate(a, first) * padded, (long long)a.batch * a.length * a.heads * padded, (long long)a.heads * padded,
          min(a.chunk, a.length - first), padded, a.valid == nullptr ? nullptr : a.valid + p.position(a, first)};
}

// The state of a chunk: DQK rows, DHV columns.
__device__ __forceinline__ Operand state(const Work &a, const Pair &p, int chunk) {
  const int padded = paddedTo8(a.vDim);
  const long long size = (long long)a.qkDim * padded;
  return {a.states + ((long long)p.index * a.chunks + chunk) * size, (long long)a.batch * a.heads * a.chunks * size, padded,
          a.qkDim, padded, nullptr};
}

// What tokens of a chunk have to do with each other: row l, column j.
__device__ __forceinline__ Operand square(const Work &a, const Pair &p, bf16 *planes, int chunk) {
  const long long size = (long long)a.chunk * a.chunk;
  return {planes + ((long long)p.index * a.chunks + chunk) * size, (long long)a.batch * a.heads * a.chunks * size, a.chunk,
          a.chunk, a.chunk, nullptr};
}

// ---- States. Grid (tiles of C, pairs, segments).

// `backward`: gradients, from the last chunk to the first. `added`: only what each segment adds.
template <typename T> __device__ __forceinline__ void states(const Work &a, bool backward, bool added) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  const u32 stages = sharedAddress(memory);
  const Place place;
  const Pair p(a, blockIdx.y);
  const int columnTiles = (a.vDim + TILE - 1) / TILE;
  const int column = blockIdx.x % columnTiles * TILE, row = blockIdx.x / columnTiles * TILE;
  const int segments = gridDim.z, segment = blockIdx.z;
  const int first = segment * a.segmentChunks, number = min(a.segmentChunks, a.chunks - first);
  const int padded = paddedTo8(a.vDim);
  const long long size = (long long)a.qkDim * a.vDim, corner = (long long)row * a.vDim + column;
  float *ofSegment = a.segmentC == nullptr ? nullptr : a.segmentC + ((long long)p.index * segments + segment) * size;
  const float *initial = ofSegment;
  if (ofSegment == nullptr) {
    initial = backward ? a.dcLast : a.c0;
    if (initial != nullptr) initial += p.index * size;
  }
  Sums sums = {};
  if (!added && initial != nullptr) {
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
      for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int r = row + place.rowOf(m, i), c = column + place.columnOf(n, i);
          if (r < a.qkDim && c < a.vDim) sums[m][n][i] = initial[(long long)r * a.vDim + c];
        }
      }
    }
  }
  const bf16 *values = backward ? a.dhPlanes : a.vPlanes;
  const int steps = a.chunk / DEPTH;
  auto chunkOf = [&](int i) { return backward ? first + number - 1 - i : first + i; };
  pipeline<P>(
      stages, number * steps,
      [&](int i, u32 stage) {
        int chunk = chunkOf(i / steps), token = i % steps * DEPTH;
        fetch<true, P>(stage, tokens(a, p, a.weighted, a.qkDim, chunk), token, row);
        fetch<true, P>(stage + P * OPERAND_BYTES, tokens(a, p, values, a.vDim, chunk), token, column);
      },
      [&](int i, u32 stage) {
        if (i % steps == 0) {
          int chunk = chunkOf(i / steps);
          if (!added) {
            Operand to = state(a, p, chunk);
            storePlanes<P>(sums, place, (bf16 *)to.at + (long long)row * padded + column, to.planeSize, padded, a.qkDim - row,
                           padded - column);
          }
          float decay = a.decay[(long long)p.index * a.chunks + chunk];
#pragma unroll
          for (int m = 0; m < 4; m++) {
#pragma unroll
            for (int n = 0; n < 4; n++) {
#pragma unroll
              for (int j = 0; j < 4; j++) sums[m][n][j] *= decay;
            }
          }
        }
        multiplyStage<true, true, P>(sums, stage, place);
      });
  auto keep = [&](float *to) { store(sums, place, to + corner, a.vDim, a.qkDim - row, a.vDim - column); };
  if (added) {
    keep(ofSegment);
  } else if (segment == (backward ? 0 : segments - 1)) {
    if (backward) {
      if (a.dc0 != nullptr) keep(a.dc0 + p.index * size);
    } else {
      if (a.cLast != nullptr) keep(a.cLast + p.index * size);
      if (a.endC != nullptr) keep(a.endC + p.index * size);
    }
  }
}

// ---- Scores. Grid (row tiles of a chunk, chunks, pairs).

// sums = A B^T, rows of A from `row` on, rows of B from `column` on. `each(stage, step)` may look at the stages.
template <int P, typename Each>
__device__ __forceinline__ void pairwise(
    Sums &sums, u32 stages, const Place &place, const Operand &a, const Operand &b, int row, int column, int width, Each each) {
  pipeline<P>(
      stages, (width + DEPTH - 1) / DEPTH,
      [&](int i, u32 stage) {
        fetch<false, P>(stage, a, row, i * DEPTH);
        fetch<false, P>(stage + P * OPERAND_BYTES, b, column, i * DEPTH);
      },
      [&](int i, u32 stage) {
        multiplyStage<false, false, P>(sums, stage, place);
        each(i, stage);
      });
}

// sums[l][j] *= 2^(x_l + y_j) where token l sees token j, else 0; then for each row `adjust`.
template <typename Adjust>
__device__ __forceinline__ void weigh(
    Sums &sums, const Place &place, const Work &a, long long chunkVector, int row, int column, Adjust adjust) {
  float y[4][2];
#pragma unroll
  for (int n = 0; n < 4; n++) {
#pragma unroll
    for (int i = 0; i < 2; i++) y[n][i] = a.y[chunkVector + column + place.columnOf(n, i)];
  }
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int l = row + place.rowOf(m, half * 2), from = a.from[chunkVector + l];
      float x = a.x[chunkVector + l];
#pragma unroll
      for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          int j = column + place.columnOf(n, i);
          float weight;
          asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(weight) : "f"(x + y[n][i]));
          sums[m][n][half * 2 + i] = j <= l && j >= from ? sums[m][n][half * 2 + i] * weight : 0.f;
        }
      }
      adjust(m, half, l);
    }
  }
}

template <typename T> __device__ __forceinline__ void scoresForward(const Work &a) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  __shared__ float parts[4][TILE];
  const u32 stages = sharedAddress(memory);
  const Place place;
  const Pair p(a, blockIdx.z);
  const int chunk = blockIdx.y, row = blockIdx.x * TILE;
  if (chunk * a.chunk + row >= a.length) return;
  const long long vector = p.vector + (long long)chunk * a.chunk;
  const Operand q = tokens(a, p, a.qPlanes, a.qkDim, chunk), k = tokens(a, p, a.kPlanes, a.qkDim, chunk);
  const Operand to = square(a, p, a.scores, chunk);
  const float *n = a.nStates + ((long long)p.index * a.chunks + chunk) * a.qkDim;
  const float scale = queryScale(a);
  float qn = 0.f; // of half a row: two threads have one
  float rowSums[4][2] = {};
  for (int column = 0; column <= row; column += TILE) {
    Sums sums = {};
    pairwise<P>(sums, stages, place, q, k, row, column, a.qkDim, [&](int i, u32 stage) {
      if (column > 0) return;
      const int mine = threadIdx.x / 2;
#pragma unroll
      for (int piece = 0; piece < 2; piece++) {
        const int c = threadIdx.x % 2 * 2 + piece, first = i * DEPTH + c * 8;
#pragma unroll
        for (int plane = 0; plane < P; plane++) {
          uint4 words = *(const uint4 *)(memory + (stage - stages) + plane * OPERAND_BYTES + offset<false>(mine, c));
          u32 w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
          for (int j = 0; j < 4; j++) {
            int at = first + 2 * j;
            qn += lowOf(w[j]) * (at < a.qkDim ? n[at] : 0.f) + highOf(w[j]) * (at + 1 < a.qkDim ? n[at + 1] : 0.f);
          }
        }
      }
    });
    weigh(sums, place, a, vector, row, column, [&](int m, int half, int) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
#pragma unroll
        for (int i = 0; i < 2; i++) rowSums[m][half] += sums[m][j][half * 2 + i] *= scale;
      }
    });
    storePlanes<P>(sums, place, (bf16 *)to.at + (long long)row * a.chunk + column, to.planeSize, a.chunk, TILE, TILE);
  }
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = rowSums[m][half];
      sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 1);
      sum += __shfl_xor_sync(0xFFFFFFFFu, sum, 2);
      if ((place.lane & 3) == 0) parts[place.column / WARP_COLUMNS][place.rowOf(m, half * 2)] = sum;
    }
  }
  qn += __shfl_xor_sync(0xFFFFFFFFu, qn, 1);
  __syncthreads();
  if (threadIdx.x % 2 == 0) {
    const int mine = threadIdx.x / 2;
    const long long at = vector + row + mine;
    float denominator = (parts[0][mine] + parts[1][mine]) + (parts[2][mine] + parts[3][mine]) + scale * a.u[at] * qn;
    float floor = a.floor[at];
    a.r[at] = 1.f / (fmaxf(fabsf(denominator), floor) + EPSILON);
    a.sign[at] = fabsf(denominator) > floor ? copysignf(1.f, denominator) : 0.f;
  }
}

template <typename T> __device__ __forceinline__ void scoresBackward(const Work &a) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  const u32 stages = sharedAddress(memory);
  const Place place;
  const Pair p(a, blockIdx.z);
  const int chunk = blockIdx.y, row = blockIdx.x * TILE;
  if (chunk * a.chunk + row >= a.length) return;
  const long long vector = p.vector + (long long)chunk * a.chunk;
  const float scale = queryScale(a);
  auto nothing = [](int, u32) {};
  for (int column = 0; column <= row; column += TILE) {
    const long long corner = (long long)row * a.chunk + column;
    {
      Sums sums = {};
      pairwise<P>(sums, stages, place, tokens(a, p, a.qPlanes, a.qkDim, chunk), tokens(a, p, a.kPlanes, a.qkDim, chunk), row,
                  column, a.qkDim, nothing);
      weigh(sums, place, a, vector, row, column, [&](int m, int half, int l) {
        float factor = scale * a.r[vector + l];
#pragma unroll
        for (int n = 0; n < 4; n++) {
#pragma unroll
          for (int i = 0; i < 2; i++) sums[m][n][half * 2 + i] *= factor;
        }
      });
      Operand to = square(a, p, a.scores, chunk);
      storePlanes<P>(sums, place, (bf16 *)to.at + corner, to.planeSize, a.chunk, TILE, TILE);
    }
    Sums sums = {};
    pairwise<P>(sums, stages, place, tokens(a, p, a.dhPlanes, a.vDim, chunk), tokens(a, p, a.vPlanes, a.vDim, chunk), row,
                column, a.vDim, nothing);
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        long long at = vector + row + place.rowOf(m, half * 2);
        float delta = a.delta[at], factor = scale * a.r[at];
#pragma unroll
        for (int n = 0; n < 4; n++) {
#pragma unroll
          for (int i = 0; i < 2; i++) sums[m][n][half * 2 + i] = (sums[m][n][half * 2 + i] + delta) * factor;
        }
      }
    }
    weigh(sums, place, a, vector, row, column, [](int, int, int) {});
    Operand to = square(a, p, a.slopes, chunk);
    storePlanes<P>(sums, place, (bf16 *)to.at + corner, to.planeSize, a.chunk, TILE, TILE);
  }
}

// ---- Results. Grid (column tiles * row tiles of a chunk * chunks, pairs).
//
//   h  = r (s u q C          + S v)
//   dq =    s u r (dh C^T + delta n) + P k
//   dk =    w (v X^T + xn)   + P^T q
//   dv =    w (k X)          + (S r)^T dh
//
// S: scores; P: slopes, with s; X, xn: gradients of C and n at the chunk's end.

enum Result { H, DQ, DK, DV };

template <typename T, Result RESULT> __device__ __forceinline__ void results(const Work &a) {
  constexpr int P = PLANES<T>;
  constexpr bool KEYS = RESULT == DQ || RESULT == DK;      // results as wide as keys
  constexpr bool OVER_ROWS = RESULT == DK || RESULT == DV; // sums over the rows of scores
  extern __shared__ __align__(128) u8 memory[];
  __shared__ float parts[4][TILE];
  const u32 stages = sharedAddress(memory);
  const Place place;
  const Pair p(a, blockIdx.y);
  const int width = KEYS ? a.qkDim : a.vDim, inner = KEYS ? a.vDim : a.qkDim;
  const int columnTiles = (width + TILE - 1) / TILE, rowTiles = a.chunk / TILE;
  const int columnTile = blockIdx.x % columnTiles, column = columnTile * TILE;
  const int row = blockIdx.x / columnTiles % rowTiles * TILE, chunk = blockIdx.x / columnTiles / rowTiles;
  const int first = chunk * a.chunk + row; // token
  if (first >= a.length) return;
  const long long vector = p.vector + first;
  const Operand left = RESULT == H    ? tokens(a, p, a.qPlanes, a.qkDim, chunk)
                       : RESULT == DQ ? tokens(a, p, a.dhPlanes, a.vDim, chunk)
                       : RESULT == DK ? tokens(a, p, a.vPlanes, a.vDim, chunk)
                                      : tokens(a, p, a.kPlanes, a.qkDim, chunk);
  const Operand ofState = state(a, p, chunk);
  const Operand weights = square(a, p, KEYS ? a.slopes : a.scores, chunk);
  const Operand right = RESULT == H    ? tokens(a, p, a.vPlanes, a.vDim, chunk)
                        : RESULT == DQ ? tokens(a, p, a.kPlanes, a.qkDim, chunk)
                        : RESULT == DK ? tokens(a, p, a.qPlanes, a.qkDim, chunk)
                                       : tokens(a, p, a.dhPlanes, a.vDim, chunk);
  const int tokensHere = right.rows;
  const int firstToken = OVER_ROWS ? row : 0, endToken = OVER_ROWS ? tokensHere : min(row + TILE, tokensHere);
  const int far = (inner + DEPTH - 1) / DEPTH, near = (endToken - firstToken + DEPTH - 1) / DEPTH;
  const float scale = queryScale(a);
  Sums sums = {};
  auto scaleByState = [&] {
    const float *n = KEYS ? a.nStates + ((long long)p.index * a.chunks + chunk) * a.qkDim + column : nullptr;
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const long long at = vector + place.rowOf(m, half * 2);
        const float factor = RESULT == H ? scale * a.u[at] : RESULT == DQ ? scale * a.u[at] * a.r[at] : a.w[at];
        const float ofN = RESULT == DQ ? a.delta[at] : 1.f;
#pragma unroll
        for (int j = 0; j < 4; j++) {
#pragma unroll
          for (int i = 0; i < 2; i++) {
            int c = place.columnOf(j, i);
            float sum = sums[m][j][half * 2 + i];
            if (KEYS && column + c < width) sum += ofN * n[c];
            sums[m][j][half * 2 + i] = sum * factor;
          }
        }
      }
    }
  };
  pipeline<P>(
      stages, far + near,
      [&](int i, u32 stage) {
        const u32 second = stage + P * OPERAND_BYTES;
        if (i < far) {
          fetch<false, P>(stage, left, row, i * DEPTH);
          fetch<!KEYS, P>(second, ofState, KEYS ? column : i * DEPTH, KEYS ? i * DEPTH : column);
        } else {
          const int token = firstToken + (i - far) * DEPTH;
          fetch<OVER_ROWS, P>(stage, weights, OVER_ROWS ? token : row, OVER_ROWS ? row : token);
          fetch<true, P>(second, right, token, column);
        }
      },
      [&](int i, u32 stage) {
        if (i < far) {
          multiplyStage<false, !KEYS, P>(sums, stage, place);
          if (i == far - 1) scaleByState();
        } else {
          multiplyStage<OVER_ROWS, true, P>(sums, stage, place);
        }
      });
  const u8 *valid = a.valid == nullptr ? nullptr : a.valid + p.position(a, first);
  const int rows = min(TILE, a.length - first);
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = place.rowOf(m, half * 2);
      const bool token = row < rows && isToken(valid, row);
      const float factor = RESULT == H ? a.r[vector + row] : 1.f;
      const T *other = (const T *)(RESULT == DQ ? a.q : a.k) + p.gate(a, first + row) * width + column;
      float dot = 0.f;
#pragma unroll
      for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float x = token ? sums[m][n][half * 2 + i] * factor : 0.f;
          sums[m][n][half * 2 + i] = x;
          int c = place.columnOf(n, i);
          if (KEYS && token && column + c < width) dot += x * read(other + c);
        }
      }
      if constexpr (KEYS) {
        dot += __shfl_xor_sync(0xFFFFFFFFu, dot, 1);
        dot += __shfl_xor_sync(0xFFFFFFFFu, dot, 2);
        if ((place.lane & 3) == 0) parts[place.column / WARP_COLUMNS][row] = dot;
      }
    }
  }
  if constexpr (KEYS) {
    __syncthreads();
    float *to = (RESULT == DQ ? a.qdq : a.kdk) + (long long)columnTile * a.batch * a.heads * a.chunks * a.chunk + vector;
    const int i = threadIdx.x;
    if (i < TILE) to[i] = (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]);
  }
  T *to = (T *)(RESULT == H ? a.h : RESULT == DQ ? a.dq : RESULT == DK ? a.dk : a.dv);
  store(sums, place, to + p.gate(a, first) * width + column, (long long)a.heads * width, rows, width - column);
}

#define KERNEL(T, NAME, BODY) \
  extern "C" __global__ void __launch_bounds__(THREADS, 3 - PLANES<T>) NAME(const __grid_constant__ Work a) { BODY; }

#define KERNELS(T, NAME)                                                                              \
  extern "C" __global__ void __launch_bounds__(THREADS, 3 - PLANES<T>)                                \
      states_##NAME(const __grid_constant__ Work a, int backward, int added) {                        \
    states<T>(a, backward != 0, added != 0);                                                          \
  }                                                                                                   \
  KERNEL(T, scores_forward_##NAME, scoresForward<T>(a))                                               \
  KERNEL(T, scores_backward_##NAME, scoresBackward<T>(a))                                             \
  KERNEL(T, h_##NAME, (results<T, H>(a)))                                                             \
  KERNEL(T, dq_##NAME, (results<T, DQ>(a)))                                                           \
  KERNEL(T, dk_##NAME, (results<T, DK>(a)))                                                           \
  KERNEL(T, dv_##NAME, (results<T, DV>(a)))

KERNELS(float, f32)
KERNELS(bf16, bf16)

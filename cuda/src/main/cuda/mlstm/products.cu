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
  const Place place = placeOfWarp();
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

template <typename T> __device__ __forceinline__ void scoresForward(const Work &a) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  __shared__ float parts[4][TILE];
  const u32 stages = sharedAddress(memory);
  const Place place = placeOfWarp();
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
    weigh(sums, place, a, vector, row, column);
    scaleRows(sums, place, [&](int) { return scale; });
#pragma unroll
    for (int m = 0; m < 4; m++) {
#pragma unroll
      for (int n = 0; n < 4; n++) {
#pragma unroll
        for (int i = 0; i < 4; i++) rowSums[m][i / 2] += sums[m][n][i];
      }
    }
    storePlanes<P>(sums, place, (bf16 *)to.at + (long long)row * a.chunk + column, to.planeSize, a.chunk, TILE, TILE);
  }
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = sumOfQuad(rowSums[m][half]);
      if ((place.lane & 3) == 0) parts[place.column / WARP_COLUMNS][place.rowOf(m, half * 2)] = sum;
    }
  }
  qn += __shfl_xor_sync(0xFFFFFFFFu, qn, 1);
  __syncthreads();
  if (threadIdx.x % 2 == 0) {
    const int i = threadIdx.x / 2;
    setDenominator(a, vector + row + i, (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]), qn);
  }
}

template <typename T> __device__ __forceinline__ void scoresBackward(const Work &a) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  const u32 stages = sharedAddress(memory);
  const Place place = placeOfWarp();
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
      weigh(sums, place, a, vector, row, column);
      scaleRows(sums, place, [&](int r) { return scale * a.r[vector + row + r]; });
      Operand to = square(a, p, a.scores, chunk);
      storePlanes<P>(sums, place, (bf16 *)to.at + corner, to.planeSize, a.chunk, TILE, TILE);
    }
    Sums sums = {};
    pairwise<P>(sums, stages, place, tokens(a, p, a.dhPlanes, a.vDim, chunk), tokens(a, p, a.vPlanes, a.vDim, chunk), row,
                column, a.vDim, nothing);
    toSlopes(sums, place, a, vector, row, column);
    Operand to = square(a, p, a.slopes, chunk);
    storePlanes<P>(sums, place, (bf16 *)to.at + corner, to.planeSize, a.chunk, TILE, TILE);
  }
}

// ---- Results. Grid (column tiles * row tiles of a chunk * chunks, pairs).

template <typename T, Result RESULT>
__device__ __forceinline__ void results(const Work &a, int row, int column) {
  constexpr int P = PLANES<T>;
  extern __shared__ __align__(128) u8 memory[];
  __shared__ float parts[4][TILE];
  const u32 stages = sharedAddress(memory);
  const Place place = placeOfWarp();
  const int rowTiles = a.chunk / TILE;
  const Spot<RESULT> spot(a, blockIdx.y, row / rowTiles, row % rowTiles * TILE, column * TILE);
  if (spot.token >= a.length) return;
  const Pair &p = spot.p;
  const int chunk = spot.chunk;
  const Operand left = RESULT == H    ? tokens(a, p, a.qPlanes, a.qkDim, chunk)
                       : RESULT == DQ ? tokens(a, p, a.dhPlanes, a.vDim, chunk)
                       : RESULT == DK ? tokens(a, p, a.vPlanes, a.vDim, chunk)
                                      : tokens(a, p, a.kPlanes, a.qkDim, chunk);
  const Operand ofState = state(a, p, chunk);
  const Operand weights = square(a, p, KEYS<RESULT> ? a.slopes : a.scores, chunk);
  const Operand right = RESULT == H    ? tokens(a, p, a.vPlanes, a.vDim, chunk)
                        : RESULT == DQ ? tokens(a, p, a.kPlanes, a.qkDim, chunk)
                        : RESULT == DK ? tokens(a, p, a.qPlanes, a.qkDim, chunk)
                                       : tokens(a, p, a.dhPlanes, a.vDim, chunk);
  const int far = (spot.inner + DEPTH - 1) / DEPTH, near = (spot.end() - spot.first() + DEPTH - 1) / DEPTH;
  Sums sums = {};
  pipeline<P>(
      stages, far + near,
      [&](int i, u32 stage) {
        const u32 second = stage + P * OPERAND_BYTES;
        if (i < far) {
          fetch<false, P>(stage, left, spot.row, i * DEPTH);
          fetch<!KEYS<RESULT>, P>(second, ofState, KEYS<RESULT> ? spot.column : i * DEPTH, KEYS<RESULT> ? i * DEPTH : spot.column);
        } else {
          const int token = spot.first() + (i - far) * DEPTH;
          fetch<OVER_ROWS<RESULT>, P>(stage, weights, OVER_ROWS<RESULT> ? token : spot.row, OVER_ROWS<RESULT> ? spot.row : token);
          fetch<true, P>(second, right, token, spot.column);
        }
      },
      [&](int i, u32 stage) {
        if (i < far) {
          multiplyStage<false, !KEYS<RESULT>, P>(sums, stage, place);
          if (i == far - 1) scaleByState(sums, place, a, spot);
        } else {
          multiplyStage<OVER_ROWS<RESULT>, true, P>(sums, stage, place);
        }
      });
  finish<T>(sums, place, a, spot, [&](int row, float dot) {
    if ((place.lane & 3) == 0) parts[place.column / WARP_COLUMNS][row] = dot;
  });
  if constexpr (KEYS<RESULT>) {
    __syncthreads();
    const int i = threadIdx.x;
    if (i < TILE) dots(a, spot)[i] = (parts[0][i] + parts[1][i]) + (parts[2][i] + parts[3][i]);
  }
}

template <typename T, Result RESULT> __device__ __forceinline__ void results(const Work &a) {
  const int columnTiles = ((KEYS<RESULT> ? a.qkDim : a.vDim) + TILE - 1) / TILE;
  results<T, RESULT>(a, blockIdx.x / columnTiles, blockIdx.x % columnTiles);
}

// dk and dv read the same states; together they read them from memory once.
template <typename T> __device__ __forceinline__ void keysAndValues(const Work &a) {
  const int ofKeys = (a.qkDim + TILE - 1) / TILE, all = ofKeys + (a.vDim + TILE - 1) / TILE;
  const int row = blockIdx.x / all, column = blockIdx.x % all;
  if (column < ofKeys) {
    results<T, DK>(a, row, column);
  } else {
    results<T, DV>(a, row, column - ofKeys);
  }
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
  KERNEL(T, dk_dv_##NAME, keysAndValues<T>(a))

KERNELS(float, f32)
KERNELS(bf16, bf16)

// The products of the mLSTM cell over chunks as in products.cu, for sm_90a: bfloat16, sequences without padding.
#include "wgmma.cuh"

// Tokens: (width, S, NH, B). States: (DHV, DQK, chunks, pairs). Scores and slopes: (chunk, chunk, chunks, pairs).
struct Maps {
  TensorMap q, k, v, dh, states, scores, slopes;
};

constexpr int NAMED_BARRIER = 1;

__device__ __forceinline__ void syncConsumers() {
  asm volatile("bar.sync %0, %1;" ::"n"(NAMED_BARRIER), "n"(CONSUMERS) : "memory");
}

extern __shared__ u8 memory[];

#define RING                                        \
  __shared__ __align__(8) u64 barriers[2 * STAGES]; \
  const Ring ring(sharedAddress(memory), sharedAddress(barriers))

// ---- States. Grid (tiles of C, pairs, segments).
//
// Tokens get their weights on the way from shared memory to the registers of the first operand. The blocks of the first
// column tile also sum the weighted tokens of each chunk, for n.

constexpr int LONGEST_CHUNK = 256;

__device__ __forceinline__ void states(const Work &a, const Maps &maps, bool backward, bool added) {
  RING;
  __shared__ __align__(16) float2 weights[2][LONGEST_CHUNK]; // of a token for C, of its weighted value for n
  const Pair p(a, blockIdx.y);
  const int columnTiles = (a.vDim + TILE - 1) / TILE;
  const int column = blockIdx.x % columnTiles * TILE, row = blockIdx.x / columnTiles * TILE;
  const int segments = gridDim.z, segment = blockIdx.z;
  const int first = segment * a.segmentChunks, number = min(a.segmentChunks, a.chunks - first);
  auto chunkOf = [&](int i) { return backward ? first + number - 1 - i : first + i; };
  auto stepsOf = [&](int chunk) { return (min(a.chunk, a.length - chunk * a.chunk) + DEPTH - 1) / DEPTH; };
  if (isProducer()) {
    if (threadIdx.x % 32 != 0) return;
    Producer producer{ring};
    const TensorMap &values = backward ? maps.dh : maps.v;
    for (int i = 0; i < number; i++) {
      const int chunk = chunkOf(i), steps = stepsOf(chunk);
      for (int step = 0; step < steps; step++) {
        const int token = chunk * a.chunk + step * DEPTH;
        producer.begin();
        producer.copy<0, true>(backward ? maps.q : maps.k, row, token, p.head, p.row);
        producer.copy<1, true>(values, column, token, p.head, p.row);
        producer.end();
      }
    }
    return;
  }
  Consumer consumer(ring);
  const Place &place = consumer.place;
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
    for (int n = 0; n < 16; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int r = row + place.rowOf(0, i), c = column + place.columnOf(n, i);
        if (r < a.qkDim && c < a.vDim) sums[0][n][i] = initial[(long long)r * a.vDim + c];
      }
    }
  }
  const float *tokenWeights = (backward ? a.queryWeights : a.w) + p.vector;
  const int part = place.lane >> 3, line = place.lane & 7, pair = (place.lane & 3) * 2;
  const u32 mine = place.row / 64 * BOX_BYTES; // this warp's box of the first operand, and its piece of a row
  const int piece = place.row % 64 / 8 + (part & 1);
  for (int i = 0; i < number; i++) {
    const int chunk = chunkOf(i), steps = stepsOf(chunk);
    const long long index = (long long)p.index * a.chunks + chunk;
    const float decay = a.decay[index];
    float2 *now = weights[i & 1];
    if (threadIdx.x < steps * DEPTH) {
      const int token = chunk * a.chunk + threadIdx.x;
      now[threadIdx.x] = make_float2(tokenWeights[token], backward ? a.delta[p.vector + token] : 1.f);
    }
    syncConsumers();
    if (i > 0) consumer.drain(sums);
    if (!added) {
      storePlanes<1>(sums, place, a.states + (index * a.qkDim + row) * padded + column, 0, padded, a.qkDim - row, padded - column);
    }
#pragma unroll
    for (int n = 0; n < 16; n++) {
#pragma unroll
      for (int j = 0; j < 4; j++) sums[0][n][j] *= decay;
    }
    float ofN[2] = {};
    for (int step = 0; step < steps; step++) {
      consumer.stepOfRegisters<true>(sums, [&](u32 stage, int k, u32(&x)[4]) {
        const int token = k * 16 + (part >> 1) * 8 + line;
        asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                     : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                     : "r"(stage + mine + token * 128 + ((piece ^ (token & 7)) << 4)) : "memory");
#pragma unroll
        for (int half = 0; half < 2; half++) { // 8 tokens
          const float4 w = *(const float4 *)(now + step * DEPTH + k * 16 + half * 8 + pair);
#pragma unroll
          for (int r = 0; r < 2; r++) { // 8 rows
            u32 &word = x[half * 2 + r];
            float low = lowOf(word) * w.x, high = highOf(word) * w.z;
            ofN[r] += low * w.y + high * w.w;
            word = toWord(low, high);
          }
        }
      });
    }
    if (column == 0) {
#pragma unroll
      for (int r = 0; r < 2; r++) {
        float sum = sumOfQuad(ofN[r]);
        int to = row + place.rowOf(0, r * 2);
        if ((place.lane & 3) == 0 && to < a.qkDim) a.sums[index * a.qkDim + to] = sum;
      }
    }
  }
  consumer.drain(sums);
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

__device__ __forceinline__ bf16 *cornerOf(const Work &a, const Pair &p, bf16 *planes, int chunk, int row, int column) {
  return planes + (((long long)p.index * a.chunks + chunk) * a.chunk + row) * a.chunk + column;
}

template <bool BACKWARD> __device__ __forceinline__ void scores(const Work &a, const Maps &maps) {
  RING;
  const Pair p(a, blockIdx.z);
  const int chunk = blockIdx.y, row = blockIdx.x * TILE, token = chunk * a.chunk;
  if (token + row >= a.length) return;
  const int ofKeys = (a.qkDim + DEPTH - 1) / DEPTH, ofValues = (a.vDim + DEPTH - 1) / DEPTH;
  if (isProducer()) {
    if (threadIdx.x % 32 != 0) return;
    Producer producer{ring};
    for (int column = 0; column <= row; column += TILE) {
      for (int i = 0; i < ofKeys; i++) {
        producer.begin();
        producer.copy<0, false>(maps.q, i * DEPTH, token + row, p.head, p.row);
        producer.copy<1, false>(maps.k, i * DEPTH, token + column, p.head, p.row);
        producer.end();
      }
      for (int i = 0; BACKWARD && i < ofValues; i++) {
        producer.begin();
        producer.copy<0, false>(maps.dh, i * DEPTH, token + row, p.head, p.row);
        producer.copy<1, false>(maps.v, i * DEPTH, token + column, p.head, p.row);
        producer.end();
      }
    }
    return;
  }
  Consumer consumer(ring);
  const Place &place = consumer.place;
  const long long vector = p.vector + token;
  const float scale = queryScale(a);
  const float *n = a.nStates + ((long long)p.index * a.chunks + chunk) * a.qkDim;
  float qn = 0.f; // of half a row: two threads have one
  float rowSums[2] = {};
#pragma unroll 1
  for (int column = 0; column <= row; column += TILE) {
    Sums sums = {};
#pragma unroll 1
    for (int i = 0; i < ofKeys; i++) {
      consumer.step<false, false>(sums, [&](u32 stage) {
        if (BACKWARD || column > 0) return;
        const int mine = threadIdx.x / 2;
#pragma unroll
        for (int j = 0; j < 4; j++) {
          const int piece = threadIdx.x % 2 * 4 + j, at = i * DEPTH + piece * 8;
          if (at < a.qkDim && (a.qkDim & 7) != 0) {
            const bf16 *q = (const bf16 *)(memory + (stage - sharedAddress(memory)) + mine * 128 + ((piece ^ (mine & 7)) << 4));
            for (int c = 0; c < 8 && at + c < a.qkDim; c++) qn += read(q + c) * n[at + c];
          } else if (at < a.qkDim) {
            uint4 words = *(const uint4 *)(memory + (stage - sharedAddress(memory)) + mine * 128 + ((piece ^ (mine & 7)) << 4));
            float4 low = *(const float4 *)(n + at), high = *(const float4 *)(n + at + 4);
            qn += lowOf(words.x) * low.x + highOf(words.x) * low.y + lowOf(words.y) * low.z + highOf(words.y) * low.w
                + lowOf(words.z) * high.x + highOf(words.z) * high.y + lowOf(words.w) * high.z + highOf(words.w) * high.w;
          }
        }
      });
    }
    consumer.drain(sums);
    weigh(sums, place, a, vector, row, column);
    if (!BACKWARD) {
      scaleRows(sums, place, [&](int) { return scale; });
#pragma unroll
      for (int j = 0; j < 16; j++) {
#pragma unroll
        for (int i = 0; i < 4; i++) rowSums[i / 2] += sums[0][j][i];
      }
    } else {
      scaleRows(sums, place, [&](int r) { return scale * a.r[vector + row + r]; });
    }
    storePlanes<1>(sums, place, cornerOf(a, p, a.scores, chunk, row, column), 0, a.chunk, TILE, TILE);
    if (BACKWARD) {
      asm volatile("" ::: "memory"); // what was read for the scores need not stay in registers
      Sums slopes = {};
#pragma unroll 1
      for (int i = 0; i < ofValues; i++) consumer.step<false, false>(slopes);
      consumer.drain(slopes);
      toSlopes(slopes, place, a, vector, row, column);
      storePlanes<1>(slopes, place, cornerOf(a, p, a.slopes, chunk, row, column), 0, a.chunk, TILE, TILE);
    }
  }
  if (!BACKWARD) {
    __shared__ float parts[TILE];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = sumOfQuad(rowSums[half]);
      if ((place.lane & 3) == 0) parts[place.rowOf(0, half * 2)] = sum;
    }
    qn += __shfl_xor_sync(0xFFFFFFFFu, qn, 1);
    syncConsumers();
    const int i = threadIdx.x / 2;
    if (threadIdx.x % 2 == 0) setDenominator(a, vector + row + i, parts[i], qn);
  }
}

// ---- Results. Grid (column tiles * row tiles of a chunk * chunks, pairs).

template <Result RESULT>
__device__ __forceinline__ void results(const Work &a, const Maps &maps, const Ring &ring, int row, int column) {
  constexpr bool ROWS = OVER_ROWS<RESULT>, BY_KEYS = KEYS<RESULT>;
  const int rowTiles = a.chunk / TILE;
  const Spot<RESULT> spot(a, blockIdx.y, row / rowTiles, row % rowTiles * TILE, column * TILE);
  if (spot.token >= a.length) return;
  const Pair &p = spot.p;
  const int far = (spot.inner + DEPTH - 1) / DEPTH, near = (spot.end() - spot.first() + DEPTH - 1) / DEPTH;
  if (isProducer()) {
    if (threadIdx.x % 32 != 0) return;
    Producer producer{ring};
    const TensorMap &left = RESULT == H ? maps.q : RESULT == DQ ? maps.dh : RESULT == DK ? maps.v : maps.k;
    const TensorMap &right = RESULT == H ? maps.v : RESULT == DQ ? maps.k : RESULT == DK ? maps.q : maps.dh;
    const TensorMap &weights = BY_KEYS ? maps.slopes : maps.scores;
    for (int i = 0; i < far; i++) {
      producer.begin();
      producer.copy<0, false>(left, i * DEPTH, spot.token, p.head, p.row);
      producer.copy<1, !BY_KEYS>(maps.states, BY_KEYS ? i * DEPTH : spot.column, BY_KEYS ? spot.column : i * DEPTH, spot.chunk,
                                 p.index);
      producer.end();
    }
    for (int i = 0; i < near; i++) {
      const int token = spot.first() + i * DEPTH;
      producer.begin();
      producer.copy<0, ROWS>(weights, ROWS ? spot.row : token, ROWS ? token : spot.row, spot.chunk, p.index);
      producer.copy<1, true>(right, spot.column, spot.chunk * a.chunk + token, p.head, p.row);
      producer.end();
    }
    return;
  }
  Consumer consumer(ring);
  Sums sums = {};
  for (int i = 0; i < far; i++) consumer.step<false, !BY_KEYS>(sums);
  consumer.drain(sums);
  scaleByState(sums, consumer.place, a, spot);
  for (int i = 0; i < near; i++) consumer.step<ROWS, true>(sums);
  consumer.drain(sums);
  finish<bf16>(sums, consumer.place, a, spot, [&](int row, float dot) {
    if ((consumer.place.lane & 3) == 0) dots(a, spot)[row] = dot;
  });
}

template <Result RESULT> __device__ __forceinline__ void results(const Work &a, const Maps &maps) {
  RING;
  const int columnTiles = ((KEYS<RESULT> ? a.qkDim : a.vDim) + TILE - 1) / TILE;
  results<RESULT>(a, maps, ring, blockIdx.x / columnTiles, blockIdx.x % columnTiles);
}

// dk and dv read the same states; together they read them from memory once.
__device__ __forceinline__ void keysAndValues(const Work &a, const Maps &maps) {
  RING;
  const int ofKeys = (a.qkDim + TILE - 1) / TILE, all = ofKeys + (a.vDim + TILE - 1) / TILE;
  const int row = blockIdx.x / all, column = blockIdx.x % all;
  if (column < ofKeys) {
    results<DK>(a, maps, ring, row, column);
  } else {
    results<DV>(a, maps, ring, row, column - ofKeys);
  }
}

#define KERNEL(NAME, BODY)                                                                       \
  extern "C" __global__ void __launch_bounds__(THREADS, 2)                                       \
      NAME(const __grid_constant__ Work a, const __grid_constant__ Maps maps) {                  \
    BODY;                                                                                        \
  }

extern "C" __global__ void __launch_bounds__(THREADS, 2)
    states_bf16(const __grid_constant__ Work a, const __grid_constant__ Maps maps, int backward, int added) {
  states(a, maps, backward != 0, added != 0);
}
KERNEL(scores_forward_bf16, scores<false>(a, maps))
KERNEL(scores_backward_bf16, scores<true>(a, maps))
KERNEL(h_bf16, results<H>(a, maps))
KERNEL(dq_bf16, results<DQ>(a, maps))
KERNEL(dk_dv_bf16, keysAndValues(a, maps))

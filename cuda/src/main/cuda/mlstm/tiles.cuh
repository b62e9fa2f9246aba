// Products of tiles on the matrix units by mma.sync: 128 x 128 results of a block of 256 threads, operands through shared
// memory in stages of 32 along the inner dimension, filled by cp.async.
#pragma once
#include "results.cuh"

constexpr int DEPTH = 32, THREADS = 256;
constexpr int WARP_ROWS = 64, WARP_COLUMNS = 32; // of the results of a warp
constexpr u32 OPERAND_BYTES = TILE * DEPTH * 2;  // of one plane

template <int P> constexpr int STAGES = P == 1 ? 4 : 3;
template <int P> constexpr u32 STAGE_BYTES = 2 * P * OPERAND_BYTES;

typedef float Sums[4][4][4];

// A matrix in memory. Rows and columns that are not there count as zeros, rows of padding too.
struct Operand {
  const bf16 *at;
  long long planeSize, stride;
  int rows, columns;
  const u8 *valid; // of its rows, or null
};

__device__ __forceinline__ u32 sharedAddress(const void *p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void copy16(u32 to, const void *from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(there ? 16 : 0) : "memory");
}

__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void waitForAllBut() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Where 8 values lie in a tile. Upright: 128 rows (of results) x 32 (inner). Transposed: 32 (inner) x 128. The 16-byte
// pieces of a row are permuted, so that 8 rows read together lie in different banks.
template <bool TRANSPOSED> __device__ __forceinline__ u32 offset(int row, int piece) {
  return TRANSPOSED ? row * 256 + ((piece ^ (row & 7)) << 4) : row * 64 + ((piece ^ ((row >> 1) & 3)) << 4);
}

template <bool TRANSPOSED, int P>
__device__ __forceinline__ void fetch(u32 to, const Operand &o, int firstRow, int firstColumn) {
#pragma unroll
  for (int i = 0; i < 2; i++) {
    int piece = threadIdx.x + i * THREADS;
    int r = TRANSPOSED ? piece / 16 : piece / 4, c = TRANSPOSED ? piece % 16 : piece % 4;
    int row = firstRow + r, column = firstColumn + c * 8;
    bool there = row < o.rows && column < o.columns && isToken(o.valid, row);
    const bf16 *from = there ? o.at + row * o.stride + column : o.at;
    u32 at = to + offset<TRANSPOSED>(r, c);
#pragma unroll
    for (int p = 0; p < P; p++) copy16(at + p * OPERAND_BYTES, there ? from + p * o.planeSize : from, there);
  }
}

template <bool TRANSPOSED> __device__ __forceinline__ void load(u32 (&v)[4], u32 at) {
  if constexpr (TRANSPOSED) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(at) : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(at) : "memory");
  }
}

__device__ __forceinline__ void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// The place of this warp: the eight stand 2 x 4.
__device__ __forceinline__ Place placeOfWarp() {
  return Place((threadIdx.x >> 7) * WARP_ROWS, (threadIdx.x >> 5 & 3) * WARP_COLUMNS);
}

// sums += A B of one stage. TA: A lies with the inner dimension first; TB: B does.
template <bool TA, bool TB, int P> __device__ __forceinline__ void multiplyStage(Sums &sums, u32 stage, const Place &place) {
  const int part = place.lane >> 3, line = place.lane & 7;
  const u32 aAt = stage, bAt = stage + P * OPERAND_BYTES;
#pragma unroll
  for (int k = 0; k < DEPTH; k += 16) {
    u32 b[P][2][4];
#pragma unroll
    for (int n = 0; n < 2; n++) {
      int column = place.column + n * 16;
      u32 at = bAt + (TB ? offset<true>(k + (part & 1) * 8 + line, column / 8 + (part >> 1))
                         : offset<false>(column + (part >> 1) * 8 + line, k / 8 + (part & 1)));
#pragma unroll
      for (int p = 0; p < P; p++) load<TB>(b[p][n], at + p * OPERAND_BYTES);
    }
#pragma unroll
    for (int m = 0; m < 4; m++) {
      int row = place.row + m * 16;
      u32 at = aAt + (TA ? offset<true>(k + (part >> 1) * 8 + line, row / 8 + (part & 1))
                         : offset<false>(row + (part & 1) * 8 + line, k / 8 + (part >> 1)));
      u32 x[P][4];
#pragma unroll
      for (int p = 0; p < P; p++) load<TA>(x[p], at + p * OPERAND_BYTES);
#pragma unroll
      for (int n = 0; n < 4; n++) {
        const u32 *high = &b[0][n / 2][n % 2 * 2];
        if constexpr (P == 2) {
          const u32 *low = &b[P - 1][n / 2][n % 2 * 2];
          multiply(sums[m][n], x[P - 1], high[0], high[1]);
          multiply(sums[m][n], x[0], low[0], low[1]);
        }
        multiply(sums[m][n], x[0], high[0], high[1]);
      }
    }
  }
}

// Runs `steps` stages: `fill(step, stage address)` starts the copies, `use(step, stage address)` multiplies.
template <int P, typename Fill, typename Use> __device__ __forceinline__ void pipeline(u32 memory, int steps, Fill fill, Use use) {
#pragma unroll
  for (int i = 0; i < STAGES<P> - 1; i++) {
    if (i < steps) fill(i, memory + i * STAGE_BYTES<P>);
    commit();
  }
  int at = 0, next = STAGES<P> - 1;
  for (int i = 0; i < steps; i++) {
    waitForAllBut<STAGES<P> - 2>();
    __syncthreads();
    if (i + STAGES<P> - 1 < steps) fill(i + STAGES<P> - 1, memory + next * STAGE_BYTES<P>);
    commit();
    use(i, memory + at * STAGE_BYTES<P>);
    at = at + 1 == STAGES<P> ? 0 : at + 1;
    next = next + 1 == STAGES<P> ? 0 : next + 1;
  }
  waitForAllBut<0>();
  __syncthreads();
}

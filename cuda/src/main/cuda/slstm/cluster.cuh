// What the cluster kernels share: instructions, pairs of units, saved activations, a thread's place.
#pragma once
#include "common.cuh"

constexpr int ROWS = 16;
constexpr int TILE_BYTES = 256; // 16 sequences x 8 units, bf16

template <typename T> constexpr int PLANES = sizeof(T) == 4 ? 2 : 1;

extern __shared__ __align__(1024) unsigned char memory[];

__device__ __forceinline__ u32 sharedAddress(const void *p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ u32 addressIn(u32 address, int block) {
  u32 there;
  asm("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(block));
  return there;
}

__device__ __forceinline__ void clusterBarrier() {
  asm volatile("barrier.cluster.arrive.release.aligned;\n\tbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void barrierInit(u32 barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier) : "memory");
}

// The phase of the barrier ends once so many bytes have arrived.
__device__ __forceinline__ void expectBytes(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void await(u32 barrier, u32 parity) {
  asm volatile(
      "{\n\t.reg .pred done;\n"
      "AGAIN:\n\t"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n\t"
      "@!done bra AGAIN;\n\t}" ::"r"(barrier), "r"(parity) : "memory");
}

__device__ __forceinline__ void send(u32 to, uint4 v, u32 barrier) {
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(to), "r"(v.x),
      "r"(v.y), "r"(v.z), "r"(v.w), "r"(barrier) : "memory");
}

__device__ __forceinline__ uint4 loadTiles(u32 address) {
  uint4 v;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address) : "memory");
  return v;
}

__device__ __forceinline__ void multiply(float (&d)[4], uint4 a, u32 b0, u32 b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a.x), "r"(a.y), "r"(a.z), "r"(a.w), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void prefetch(const void *at) { asm volatile("prefetch.global.L2 [%0];" ::"l"(at)); }

// Four products of one tile pair of A with four column tiles of B; `b` points at this lane's fragments of the k-step:
// [half][lane] of uint4, for each plane.
template <typename T>
__device__ __forceinline__ void multiplyFour(float (&d)[4][4], u32 tiles, u32 planeBytes, const uint4 *b) {
  uint4 high = loadTiles(tiles);
  uint4 b01 = b[0], b23 = b[32];
  multiply(d[0], high, b01.x, b01.y);
  multiply(d[1], high, b01.z, b01.w);
  multiply(d[2], high, b23.x, b23.y);
  multiply(d[3], high, b23.z, b23.w);
  if constexpr (PLANES<T> == 2) {
    uint4 low = loadTiles(tiles + planeBytes);
    multiply(d[0], low, b01.x, b01.y);
    multiply(d[1], low, b01.z, b01.w);
    multiply(d[2], low, b23.x, b23.y);
    multiply(d[3], low, b23.z, b23.w);
    uint4 c01 = b[64], c23 = b[96];
    multiply(d[0], high, c01.x, c01.y);
    multiply(d[1], high, c01.z, c01.w);
    multiply(d[2], high, c23.x, c23.y);
    multiply(d[3], high, c23.z, c23.w);
  }
}

// ---- Two neighbouring units of a sequence.

struct Pair {
  float x, y;
};

// Reads or writes two neighbouring values; `count` of them exist (0, 1 or 2), `even` says that they lie aligned. A pair is
// read as it lies in memory and converted where it is used, so that nothing waits for it before.
template <typename T> struct Packed;
template <> struct Packed<float> {
  float2 v;
};
template <> struct Packed<bf16> {
  u32 v;
};

__device__ __forceinline__ Packed<float> readPair(const float *at, int count, bool even) {
  Packed<float> p = {{0.f, 0.f}};
  if (even) {
    if (count > 0) p.v = *(const float2 *)at;
  } else {
    if (count > 0) p.v.x = at[0];
    if (count > 1) p.v.y = at[1];
  }
  return p;
}

__device__ __forceinline__ Packed<bf16> readPair(const bf16 *at, int count, bool even) {
  Packed<bf16> p = {0};
  if (even) {
    if (count > 0) p.v = *(const u32 *)at;
  } else {
    if (count > 0) p.v = at[0].bits;
    if (count > 1) p.v |= (u32)at[1].bits << 16;
  }
  return p;
}

__device__ __forceinline__ Pair unpacked(Packed<float> p) { return {p.v.x, p.v.y}; }
__device__ __forceinline__ Pair unpacked(Packed<bf16> p) { return {lowOf(p.v), highOf(p.v)}; }

__device__ __forceinline__ void writePair(float *at, float x, float y, int count, bool even) {
  if (even) {
    if (count > 0) *(float2 *)at = make_float2(x, y);
  } else {
    if (count > 0) at[0] = x;
    if (count > 1) at[1] = y;
  }
}

__device__ __forceinline__ void writePair(bf16 *at, float x, float y, int count, bool even) {
  if (even) {
    if (count > 0) *(u32 *)at = toWord(x, y);
  } else {
    if (count > 0) write(at, x);
    if (count > 1) write(at + 1, y);
  }
}

// ---- Saved activations: for each token, head, 16 sequences and 8 units one block of VECTORS x 32 lanes x 16 bytes.

template <typename T> struct Saved;

template <> struct Saved<bf16> {
  static constexpr int VECTORS = 3; // {gate, slope}, {z, o}, {c, n}
  static constexpr int STATE = 2;   // the first vector of c and n
  static __device__ __forceinline__ uint4 pack(const float (&a)[4], const float (&b)[4]) {
    return make_uint4(toWord(a[0], a[1]), toWord(a[2], a[3]), toWord(b[0], b[1]), toWord(b[2], b[3]));
  }
  static __device__ __forceinline__ void unpack(uint4 v, float (&a)[4], float (&b)[4]) {
    a[0] = lowOf(v.x), a[1] = highOf(v.x), a[2] = lowOf(v.y), a[3] = highOf(v.y);
    b[0] = lowOf(v.z), b[1] = highOf(v.z), b[2] = lowOf(v.w), b[3] = highOf(v.w);
  }
  static __device__ __forceinline__ void store(uint4 *at, int pair, const float (&a)[4], const float (&b)[4]) {
    at[pair * 32] = pack(a, b);
  }
  uint4 state[1];
  uint4 gates[2];
  __device__ __forceinline__ void loadState(const uint4 *at) { state[0] = at[64]; }
  __device__ __forceinline__ void loadGates(const uint4 *at) { gates[0] = at[0], gates[1] = at[32]; }
  __device__ __forceinline__ void stateValues(float (&c)[4], float (&n)[4]) const { unpack(state[0], c, n); }
  __device__ __forceinline__ void gateValues(float (&g)[4], float (&s)[4], float (&z)[4], float (&o)[4]) const {
    unpack(gates[0], g, s);
    unpack(gates[1], z, o);
  }
};

template <> struct Saved<float> {
  static constexpr int VECTORS = 6; // gate, slope, z, o, c, n
  static constexpr int STATE = 4;
  static __device__ __forceinline__ uint4 pack(const float (&a)[4]) {
    return make_uint4(__float_as_uint(a[0]), __float_as_uint(a[1]), __float_as_uint(a[2]), __float_as_uint(a[3]));
  }
  static __device__ __forceinline__ void unpack(uint4 v, float (&a)[4]) {
    a[0] = __uint_as_float(v.x), a[1] = __uint_as_float(v.y), a[2] = __uint_as_float(v.z), a[3] = __uint_as_float(v.w);
  }
  static __device__ __forceinline__ void store(uint4 *at, int pair, const float (&a)[4], const float (&b)[4]) {
    at[pair * 64] = pack(a);
    at[pair * 64 + 32] = pack(b);
  }
  uint4 state[2];
  uint4 gates[4];
  __device__ __forceinline__ void loadState(const uint4 *at) { state[0] = at[128], state[1] = at[160]; }
  __device__ __forceinline__ void loadGates(const uint4 *at) {
    gates[0] = at[0], gates[1] = at[32], gates[2] = at[64], gates[3] = at[96];
  }
  __device__ __forceinline__ void stateValues(float (&c)[4], float (&n)[4]) const {
    unpack(state[0], c);
    unpack(state[1], n);
  }
  __device__ __forceinline__ void gateValues(float (&g)[4], float (&s)[4], float (&z)[4], float (&o)[4]) const {
    unpack(gates[0], g);
    unpack(gates[1], s);
    unpack(gates[2], z);
    unpack(gates[3], o);
  }
};

// ---- Where a thread stands: accumulator q of four is sequence row[q / 2] and unit `unit + q % 2`.

template <typename T> struct Place {
  int lane, warp, warps, blocks, rank, head, tile, unit, count, kTiles;
  int row[2];
  bool live[2]; // the sequence exists
  bool even;
  long long units;

  __device__ __forceinline__ Place(int batch, int heads, int width) {
    lane = threadIdx.x & 31;
    warp = threadIdx.x >> 5;
    warps = blockDim.x >> 5;
    blocks = gridDim.x;
    rank = blockIdx.x;
    head = blockIdx.y;
    tile = rank * warps + warp;
    unit = tile * 8 + (lane & 3) * 2;
    count = width - unit;
    count = count < 0 ? 0 : count > 2 ? 2 : count;
    kTiles = (width + 31) / 32 * 4;
    even = (width & 1) == 0;
    units = (long long)heads * width;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      row[i] = blockIdx.z * ROWS + (lane >> 2) + i * 8;
      live[i] = row[i] < batch;
    }
  }

  __device__ __forceinline__ int countOf(int i) const { return live[i] ? count : 0; }

  // In (B, NH, DH).
  __device__ __forceinline__ long long state(int i, int width) const {
    return row[i] * units + (long long)head * width + unit;
  }

  __device__ __forceinline__ void readState(const float *from, int width, float (&to)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      Pair p = {0.f, 0.f};
      if (from != nullptr) p = unpacked(readPair(from + state(i, width), countOf(i), even));
      to[2 * i] = p.x;
      to[2 * i + 1] = p.y;
    }
  }

  __device__ __forceinline__ void writeState(float *to, int width, const float (&from)[4]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) writePair(to + state(i, width), from[2 * i], from[2 * i + 1], countOf(i), even);
  }

  // From the saved block of a step to that of the next one, and the block of step t.
  __device__ __forceinline__ long long savedStride() const {
    return (long long)gridDim.y * gridDim.z * blocks * warps * Saved<T>::VECTORS * 32;
  }

  __device__ __forceinline__ long long saved(int t) const {
    long long within = ((long long)head * gridDim.z + blockIdx.z) * blocks * warps + tile;
    return t * savedStride() + within * Saved<T>::VECTORS * 32 + lane;
  }
};

// Copies the first `steps` of a warp's `all` k-steps of fragments into shared memory.
template <typename T>
__device__ __forceinline__ void fillFragments(uint4 *to, const uint4 *from, int steps, int lane) {
  for (int i = lane; i < steps * 64 * PLANES<T>; i += 32) to[i] = from[i];
}

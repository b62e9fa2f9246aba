// What sm_90a has beyond other chips: boxes of tensors copied to shared memory by the copy engine (TMA), barriers that count
// its bytes, and products of warpgroups (wgmma) on operands in shared memory.
#pragma once
#include "results.cuh"

constexpr int DEPTH = 64, STAGES = 3; // inner dimension of a stage
constexpr u32 BOX_BYTES = 64 * 64 * 2, OPERAND_BYTES = 2 * BOX_BYTES, STAGE_BYTES = 2 * OPERAND_BYTES;
constexpr int CONSUMERS = 256, THREADS = CONSUMERS + 32; // two warpgroups of 64 rows each, and one warp that copies

typedef float Sums[1][16][4];

// The driver's description of a tensor; boxes of 64 x 64 values of its first two dimensions, rows of 128 bytes swizzled.
struct alignas(64) TensorMap {
  u64 opaque[16];
};

__device__ __forceinline__ u32 sharedAddress(const void *p) { return (u32)__cvta_generic_to_shared(p); }

__device__ __forceinline__ void wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n.reg .pred p;\nAGAIN:\n mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n @p bra DONE;\n bra AGAIN;\nDONE:\n}"
      ::"r"(barrier), "r"(parity) : "memory");
}

__device__ __forceinline__ void arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// A ring of stages: `full` counts the bytes of the copies, `empty` the warps that have read them.
struct Ring {
  u32 stages, full, empty;
  int at;
  u32 parity;

  // All threads of the block.
  __device__ __forceinline__ Ring(u32 memory, u32 barriers)
      : stages((memory + 1023) & ~1023u), full(barriers), empty(barriers + STAGES * 8), at(0), parity(0) {
    if (threadIdx.x == 0) {
#pragma unroll
      for (int i = 0; i < STAGES; i++) {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(full + i * 8));
        asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(empty + i * 8), "r"(CONSUMERS / 32));
      }
      asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
      asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    }
    __syncthreads();
  }

  __device__ __forceinline__ u32 stage() const { return stages + at * STAGE_BYTES; }

  __device__ __forceinline__ void next() {
    at++;
    if (at == STAGES) {
      at = 0;
      parity ^= 1;
    }
  }
};

__device__ __forceinline__ bool isProducer() { return threadIdx.x >= CONSUMERS; }

// ---- The warp that copies; one lane of it.

struct Producer {
  Ring ring;

  // Waits until the stage is free, and says how much will come.
  __device__ __forceinline__ void begin() {
    wait(ring.empty + ring.at * 8, ring.parity ^ 1);
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(ring.full + ring.at * 8), "r"(STAGE_BYTES) : "memory");
  }

  __device__ __forceinline__ void box(u32 to, const TensorMap &map, int column, int row, int z, int w) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6];"
        ::"r"(to), "l"(&map), "r"(column), "r"(row), "r"(z), "r"(w), "r"(ring.full + ring.at * 8) : "memory");
  }

  // The first (0) or second (1) operand of the stage. ALONG_COLUMNS: results run along the tensor's columns and the inner
  // dimension along its rows; else the other way.
  template <int OPERAND, bool ALONG_COLUMNS>
  __device__ __forceinline__ void copy(const TensorMap &map, int column, int row, int z, int w) {
    u32 to = ring.stage() + OPERAND * OPERAND_BYTES;
    box(to, map, column, row, z, w);
    box(to + BOX_BYTES, map, ALONG_COLUMNS ? column + 64 : column, ALONG_COLUMNS ? row : row + 64, z, w);
  }

  __device__ __forceinline__ void end() { ring.next(); }
};

// ---- The warpgroups that multiply.

// Operands in shared memory as wgmma reads them. Inner dimension along rows of 128 bytes: 8 rows are 1,024 bytes. Results
// along rows: 8 of the inner dimension are 1,024 bytes, and 64 results one box.
template <bool ALONG_COLUMNS> __device__ __forceinline__ u64 descriptor(u32 address) {
  constexpr u64 BASE = (1ull << 62) | (64ull << 32) | ((ALONG_COLUMNS ? (u64)(BOX_BYTES >> 4) : 1ull) << 16);
  return BASE | ((address >> 4) & 0x3FFF);
}

template <bool TA, bool TB> __device__ __forceinline__ void multiply(Sums &c, u64 a, u64 b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
        "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "
        "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "
        "%62, %63 "
      "}, %64, %65, 1, 1, 1, %66, %67;"
      : "+f"(c[0][0][0]), "+f"(c[0][0][1]), "+f"(c[0][0][2]), "+f"(c[0][0][3]), "+f"(c[0][1][0]),
        "+f"(c[0][1][1]), "+f"(c[0][1][2]), "+f"(c[0][1][3]), "+f"(c[0][2][0]), "+f"(c[0][2][1]),
        "+f"(c[0][2][2]), "+f"(c[0][2][3]), "+f"(c[0][3][0]), "+f"(c[0][3][1]), "+f"(c[0][3][2]),
        "+f"(c[0][3][3]), "+f"(c[0][4][0]), "+f"(c[0][4][1]), "+f"(c[0][4][2]), "+f"(c[0][4][3]),
        "+f"(c[0][5][0]), "+f"(c[0][5][1]), "+f"(c[0][5][2]), "+f"(c[0][5][3]), "+f"(c[0][6][0]),
        "+f"(c[0][6][1]), "+f"(c[0][6][2]), "+f"(c[0][6][3]), "+f"(c[0][7][0]), "+f"(c[0][7][1]),
        "+f"(c[0][7][2]), "+f"(c[0][7][3]), "+f"(c[0][8][0]), "+f"(c[0][8][1]), "+f"(c[0][8][2]),
        "+f"(c[0][8][3]), "+f"(c[0][9][0]), "+f"(c[0][9][1]), "+f"(c[0][9][2]), "+f"(c[0][9][3]),
        "+f"(c[0][10][0]), "+f"(c[0][10][1]), "+f"(c[0][10][2]), "+f"(c[0][10][3]), "+f"(c[0][11][0]),
        "+f"(c[0][11][1]), "+f"(c[0][11][2]), "+f"(c[0][11][3]), "+f"(c[0][12][0]), "+f"(c[0][12][1]),
        "+f"(c[0][12][2]), "+f"(c[0][12][3]), "+f"(c[0][13][0]), "+f"(c[0][13][1]), "+f"(c[0][13][2]),
        "+f"(c[0][13][3]), "+f"(c[0][14][0]), "+f"(c[0][14][1]), "+f"(c[0][14][2]), "+f"(c[0][14][3]),
        "+f"(c[0][15][0]), "+f"(c[0][15][1]), "+f"(c[0][15][2]), "+f"(c[0][15][3])
      : "l"(a), "l"(b), "n"((int)TA), "n"((int)TB));
}

// The first operand in registers, as mma.sync has it.
template <bool TB> __device__ __forceinline__ void multiply(Sums &c, const u32 (&a)[4], u64 b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
        "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, "
        "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, "
        "%62, %63 "
      "}, {%64, %65, %66, %67}, %68, 1, 1, 1, %69;"
      : "+f"(c[0][0][0]), "+f"(c[0][0][1]), "+f"(c[0][0][2]), "+f"(c[0][0][3]), "+f"(c[0][1][0]),
        "+f"(c[0][1][1]), "+f"(c[0][1][2]), "+f"(c[0][1][3]), "+f"(c[0][2][0]), "+f"(c[0][2][1]),
        "+f"(c[0][2][2]), "+f"(c[0][2][3]), "+f"(c[0][3][0]), "+f"(c[0][3][1]), "+f"(c[0][3][2]),
        "+f"(c[0][3][3]), "+f"(c[0][4][0]), "+f"(c[0][4][1]), "+f"(c[0][4][2]), "+f"(c[0][4][3]),
        "+f"(c[0][5][0]), "+f"(c[0][5][1]), "+f"(c[0][5][2]), "+f"(c[0][5][3]), "+f"(c[0][6][0]),
        "+f"(c[0][6][1]), "+f"(c[0][6][2]), "+f"(c[0][6][3]), "+f"(c[0][7][0]), "+f"(c[0][7][1]),
        "+f"(c[0][7][2]), "+f"(c[0][7][3]), "+f"(c[0][8][0]), "+f"(c[0][8][1]), "+f"(c[0][8][2]),
        "+f"(c[0][8][3]), "+f"(c[0][9][0]), "+f"(c[0][9][1]), "+f"(c[0][9][2]), "+f"(c[0][9][3]),
        "+f"(c[0][10][0]), "+f"(c[0][10][1]), "+f"(c[0][10][2]), "+f"(c[0][10][3]), "+f"(c[0][11][0]),
        "+f"(c[0][11][1]), "+f"(c[0][11][2]), "+f"(c[0][11][3]), "+f"(c[0][12][0]), "+f"(c[0][12][1]),
        "+f"(c[0][12][2]), "+f"(c[0][12][3]), "+f"(c[0][13][0]), "+f"(c[0][13][1]), "+f"(c[0][13][2]),
        "+f"(c[0][13][3]), "+f"(c[0][14][0]), "+f"(c[0][14][1]), "+f"(c[0][14][2]), "+f"(c[0][14][3]),
        "+f"(c[0][15][0]), "+f"(c[0][15][1]), "+f"(c[0][15][2]), "+f"(c[0][15][3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "n"((int)TB));
}

struct Consumer {
  Ring ring;
  int pending; // the stage that products in flight read, or -1
  Place place;

  __device__ __forceinline__ explicit Consumer(const Ring &ring) : ring(ring), pending(-1), place((threadIdx.x >> 5) * 16, 0) {}

  __device__ __forceinline__ void release() {
    if (pending >= 0 && place.lane == 0) arrive(ring.empty + pending * 8);
  }

  // sums += A B of the next stage; `look(stage)` may read it too.
  template <bool TA, bool TB, typename Look> __device__ __forceinline__ void step(Sums &sums, Look look) {
    wait(ring.full + ring.at * 8, ring.parity);
    const u32 stage = ring.stage(), group = threadIdx.x >> 7;
    const u64 a = descriptor<TA>(stage + group * (TA ? BOX_BYTES : 64 * 128));
    const u64 b = descriptor<TB>(stage + OPERAND_BYTES);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) multiply<TA, TB>(sums, a + k * (TA ? 128 : 2), b + k * (TB ? 128 : 2));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    look(stage);
    asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
    release();
    pending = ring.at;
    ring.next();
  }

  template <bool TA, bool TB> __device__ __forceinline__ void step(Sums &sums) {
    step<TA, TB>(sums, [](u32) {});
  }

  // The same with a first operand that `left(stage, k, registers)` makes for each 16 of the inner dimension.
  template <bool TB, typename Left> __device__ __forceinline__ void stepOfRegisters(Sums &sums, Left left) {
    wait(ring.full + ring.at * 8, ring.parity);
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory"); // the registers are free
    release();
    const u32 stage = ring.stage();
    const u64 b = descriptor<TB>(stage + OPERAND_BYTES);
    u32 x[DEPTH / 16][4];
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) left(stage, k, x[k]);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) multiply<TB>(sums, x[k], b + k * (TB ? 128 : 2));
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    pending = ring.at;
    ring.next();
  }

  // Waits for all products; afterwards the sums may be read.
  __device__ __forceinline__ void drain(Sums &c) {
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    asm volatile("" : "+f"(c[0][0][0]), "+f"(c[0][0][1]), "+f"(c[0][0][2]), "+f"(c[0][0][3]), "+f"(c[0][1][0]),
        "+f"(c[0][1][1]), "+f"(c[0][1][2]), "+f"(c[0][1][3]), "+f"(c[0][2][0]), "+f"(c[0][2][1]),
        "+f"(c[0][2][2]), "+f"(c[0][2][3]), "+f"(c[0][3][0]), "+f"(c[0][3][1]), "+f"(c[0][3][2]),
        "+f"(c[0][3][3]), "+f"(c[0][4][0]), "+f"(c[0][4][1]), "+f"(c[0][4][2]), "+f"(c[0][4][3]),
        "+f"(c[0][5][0]), "+f"(c[0][5][1]), "+f"(c[0][5][2]), "+f"(c[0][5][3]), "+f"(c[0][6][0]),
        "+f"(c[0][6][1]), "+f"(c[0][6][2]), "+f"(c[0][6][3]), "+f"(c[0][7][0]), "+f"(c[0][7][1]),
        "+f"(c[0][7][2]), "+f"(c[0][7][3]), "+f"(c[0][8][0]), "+f"(c[0][8][1]), "+f"(c[0][8][2]),
        "+f"(c[0][8][3]), "+f"(c[0][9][0]), "+f"(c[0][9][1]), "+f"(c[0][9][2]), "+f"(c[0][9][3]),
        "+f"(c[0][10][0]), "+f"(c[0][10][1]), "+f"(c[0][10][2]), "+f"(c[0][10][3]), "+f"(c[0][11][0]),
        "+f"(c[0][11][1]), "+f"(c[0][11][2]), "+f"(c[0][11][3]), "+f"(c[0][12][0]), "+f"(c[0][12][1]),
        "+f"(c[0][12][2]), "+f"(c[0][12][3]), "+f"(c[0][13][0]), "+f"(c[0][13][1]), "+f"(c[0][13][2]),
        "+f"(c[0][13][3]), "+f"(c[0][14][0]), "+f"(c[0][14][1]), "+f"(c[0][14][2]), "+f"(c[0][14][3]),
        "+f"(c[0][15][0]), "+f"(c[0][15][1]), "+f"(c[0][15][2]), "+f"(c[0][15][3]) :: "memory");
    release();
    pending = -1;
  }
};

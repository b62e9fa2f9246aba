// What is one value a token, and what is one row a chunk: gates, stabilizers, normalizers, gradients of gates.
#include "common.cuh"

constexpr float LOG2_E = 1.4426950408889634f;
constexpr u32 ALL = 0xFFFFFFFFu;
#define NOTHING __uint_as_float(0xFF800000u) // exponent of a weight of 0

// ---- Gates: one warp a chunk.

// m -> max(m + keep, add): one token, or several in a row.
struct Step {
  float keep, add;
};

__device__ __forceinline__ Step then(Step first, Step second) {
  return {first.keep + second.keep, fmaxf(first.add + second.keep, second.add)};
}

__device__ __forceinline__ float apply(Step s, float m) { return fmaxf(m + s.keep, s.add); }

// The steps of all lanes up to this one.
__device__ __forceinline__ Step scan(Step mine, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    Step before{__shfl_up_sync(ALL, mine.keep, by), __shfl_up_sync(ALL, mine.add, by)};
    if (lane >= by) mine = then(before, mine);
  }
  return mine;
}

// The steps of all lanes before this one; the first lane keeps m.
__device__ __forceinline__ Step before(Step upToHere, int lane) {
  Step s{__shfl_up_sync(ALL, upToHere.keep, 1), __shfl_up_sync(ALL, upToHere.add, 1)};
  return lane == 0 ? Step{0.f, NOTHING} : s;
}

// The tokens of a lane: PER in a row.
template <int PER> struct Tokens {
  float logF[PER], input[PER];
  bool start[PER];

  __device__ __forceinline__ Tokens(const Work &a, const Pair &p, int first) {
#pragma unroll
    for (int i = 0; i < PER; i++) {
      int t = first + i;
      bool token = isToken(a, p, t);
      float f = token ? a.fgate[p.gate(a, t)] : 0.f;
      logF[i] = token ? fminf(f, 0.f) - log1pf(expf(-fabsf(f))) : 0.f;
      input[i] = token ? a.igate[p.gate(a, t)] : NOTHING;
      start[i] = isStart(a, p, t);
    }
  }

  // A start forgets: m is 0 before it.
  __device__ __forceinline__ Step step(int i) const {
    return start[i] ? Step{NOTHING, fmaxf(logF[i], input[i])} : Step{logF[i], input[i]};
  }

  __device__ __forceinline__ Step all() const {
    Step s = step(0);
#pragma unroll
    for (int i = 1; i < PER; i++) s = then(s, step(i));
    return s;
  }
};

template <int PER> __device__ __forceinline__ void gatesOfChunk(const Work &a, const Pair &p, int chunk, int lane) {
  const int first = lane * PER;
  Tokens<PER> tokens(a, p, chunk * a.chunk + first);
  const float mIn = a.mStates[(long long)p.index * (a.chunks + 1) + chunk];
  const float mOut = a.mStates[(long long)p.index * (a.chunks + 1) + chunk + 1];
  float m = apply(before(scan(tokens.all(), lane), lane), mIn);
  double sum = 0; // of logF up to here
  int latest = -1;
#pragma unroll
  for (int i = 0; i < PER; i++) {
    sum += tokens.logF[i];
    if (tokens.start[i]) latest = first + i;
  }
  const double mine = sum;
  int latestUpToHere = latest;
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    double other = __shfl_up_sync(ALL, sum, by);
    int otherLatest = __shfl_up_sync(ALL, latestUpToHere, by);
    if (lane >= by) {
      sum += other;
      latestUpToHere = max(latestUpToHere, otherLatest);
    }
  }
  const double all = __shfl_sync(ALL, sum, 31);
  const int latestOfAll = __shfl_sync(ALL, latestUpToHere, 31);
  int from = __shfl_up_sync(ALL, latestUpToHere, 1);
  if (lane == 0) from = -1;
  double b = sum - mine;
  const long long at = p.vector + (long long)chunk * a.chunk + first;
#pragma unroll
  for (int i = 0; i < PER; i++) {
    b += tokens.logF[i];
    m = apply(tokens.step(i), m);
    if (tokens.start[i]) from = first + i;
    a.x[at + i] = (float)((b - m) * LOG2_E);
    a.y[at + i] = (float)((tokens.input[i] - b) * LOG2_E);
    a.u[at + i] = from < 0 ? expf((float)(b + mIn - m)) : 0.f;
    a.w[at + i] = first + i >= latestOfAll ? expf((float)(all - b + tokens.input[i] - mOut)) : 0.f;
    a.floor[at + i] = expf(-m);
    a.from[at + i] = max(from, 0);
  }
  if (lane == 0) {
    a.decay[(long long)p.index * a.chunks + chunk] = latestOfAll < 0 ? expf((float)(all + mIn - mOut)) : 0.f;
  }
}

// Grid (ceil(chunks / warps), pairs).
template <int PER> __device__ __forceinline__ void stepOfChunk(const Work &a, const Pair &p, int chunk, int lane) {
  Step s = scan(Tokens<PER>(a, p, chunk * a.chunk + lane * PER).all(), lane);
  if (lane == 31) a.steps[(long long)p.index * a.chunks + chunk] = make_float2(s.keep, s.add);
}

extern "C" __global__ void __launch_bounds__(128) gate_steps(const __grid_constant__ Work a) {
  const Pair p(a, blockIdx.y);
  const int lane = threadIdx.x & 31, chunk = blockIdx.x * 4 + (threadIdx.x >> 5);
  if (chunk >= a.chunks) return;
  if (a.chunk == 128) {
    stepOfChunk<4>(a, p, chunk, lane);
  } else {
    stepOfChunk<8>(a, p, chunk, lane);
  }
}

// m at the start of every chunk. One warp a pair.
extern "C" __global__ void __launch_bounds__(32) gate_states(const __grid_constant__ Work a) {
  const int pair = blockIdx.x, lane = threadIdx.x;
  const float2 *steps = a.steps + (long long)pair * a.chunks;
  float *mStates = a.mStates + (long long)pair * (a.chunks + 1);
  float m = a.m0 == nullptr ? 0.f : a.m0[pair];
  if (lane == 0) mStates[0] = m;
  float2 next = lane < a.chunks ? steps[lane] : make_float2(0.f, NOTHING);
  for (int first = 0; first < a.chunks; first += 32) {
    const int chunk = first + lane;
    const float2 s = next;
    next = chunk + 32 < a.chunks ? steps[chunk + 32] : make_float2(0.f, NOTHING);
    float after = apply(scan(Step{s.x, s.y}, lane), m);
    if (chunk < a.chunks) mStates[chunk + 1] = after;
    m = __shfl_sync(ALL, after, 31);
  }
  if (lane == 0 && a.mLast != nullptr) a.mLast[pair] = m;
}

extern "C" __global__ void __launch_bounds__(128) gates(const __grid_constant__ Work a) {
  const Pair p(a, blockIdx.y);
  const int lane = threadIdx.x & 31, chunk = blockIdx.x * 4 + (threadIdx.x >> 5);
  if (chunk >= a.chunks) return;
  if (a.chunk == 128) {
    gatesOfChunk<4>(a, p, chunk, lane);
  } else {
    gatesOfChunk<8>(a, p, chunk, lane);
  }
}

// ---- Normalizers: n at the start of every chunk, or its gradient at the end of every chunk. One thread a column.

// The loads of several chunks go out together.
__device__ __forceinline__ float normalizers(const Work &a, float n, bool reverse, long long pair, long long column) {
  constexpr int BATCH = 16;
  for (int first = 0; first < a.chunks; first += BATCH) {
    float decays[BATCH], sums[BATCH];
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
      const int chunk = min(first + i, a.chunks - 1);
      const long long at = pair * a.chunks + (reverse ? a.chunks - 1 - chunk : chunk);
      decays[i] = a.decay[at];
      sums[i] = a.sums[at * a.qkDim + column];
    }
#pragma unroll
    for (int i = 0; i < BATCH; i++) {
      const int chunk = first + i;
      if (chunk < a.chunks) {
        a.nStates[(pair * a.chunks + (reverse ? a.chunks - 1 - chunk : chunk)) * a.qkDim + column] = n;
        n = decays[i] * n + sums[i];
      }
    }
  }
  return n;
}

extern "C" __global__ void __launch_bounds__(64) normalizers(const __grid_constant__ Work a) {
  long long i = (long long)blockIdx.x * 64 + threadIdx.x;
  if (i >= (long long)a.batch * a.heads * a.qkDim) return;
  float n = normalizers(a, a.n0 == nullptr ? 0.f : a.n0[i], false, i / a.qkDim, i % a.qkDim);
  if (a.nLast != nullptr) a.nLast[i] = n;
  if (a.endN != nullptr) a.endN[i] = n;
}

extern "C" __global__ void __launch_bounds__(64) normalizer_gradients(const __grid_constant__ Work a) {
  long long i = (long long)blockIdx.x * 64 + threadIdx.x;
  if (i >= (long long)a.batch * a.heads * a.qkDim) return;
  float dn = normalizers(a, a.dnLast == nullptr ? 0.f : a.dnLast[i], true, i / a.qkDim, i % a.qkDim);
  if (a.dn0 != nullptr) a.dn0[i] = dn;
}

// ---- Gradients of gates: one block a pair and tile of tokens. First what the tiles add up to, then the gradients.

constexpr int GATE_THREADS = 256, GATE_TOKENS = 4, GATE_TILE = GATE_THREADS * GATE_TOKENS;

// Sums w from a token to the end of its document. `ends`: a start lies between, and what comes after it does not count.
struct Tail {
  double sum;
  bool ends;
};

__device__ __forceinline__ Tail join(Tail earlier, Tail later) {
  return {earlier.sum + (earlier.ends ? 0. : later.sum), earlier.ends || later.ends};
}

// This lane's and those of all lanes after it.
__device__ __forceinline__ Tail fromHere(Tail mine, int lane) {
#pragma unroll
  for (int by = 1; by < 32; by *= 2) {
    Tail other{__shfl_down_sync(ALL, mine.sum, by), (bool)__shfl_down_sync(ALL, (int)mine.ends, by)};
    if (lane + by < 32) mine = join(mine, other);
  }
  return mine;
}

__device__ __forceinline__ float sumOfParts(const float *parts, long long at, long long stride, int number) {
  float sum = 0.f;
  for (int i = 0; i < number; i++) sum += parts[i * stride + at];
  return sum;
}

// The tokens of a thread.
struct GateTokens {
  double w[GATE_TOKENS];
  float kdk[GATE_TOKENS];
  Tail all;

  __device__ __forceinline__ GateTokens(const Work &a, const Pair &p, int first) : all{0., false} {
    const int tiles = (a.qkDim + 127) / 128;
    const long long stride = (long long)a.batch * a.heads * a.chunks * a.chunk;
#pragma unroll
    for (int i = GATE_TOKENS - 1; i >= 0; i--) {
      int t = first + i;
      bool token = isToken(a, p, t);
      kdk[i] = token ? sumOfParts(a.kdk, p.vector + t, stride, tiles) : 0.f;
      w[i] = token ? (double)sumOfParts(a.qdq, p.vector + t, stride, tiles) - kdk[i] : 0.;
      // the token of a start counts for itself, not for those before it
      all = join(isStart(a, p, t) ? Tail{0., true} : Tail{w[i], false}, all);
    }
  }
};

// Grid (tiles, pairs).
extern "C" __global__ void __launch_bounds__(GATE_THREADS) gate_tails(const __grid_constant__ Work a) {
  __shared__ double warpSums[GATE_THREADS / 32];
  __shared__ int warpEnds[GATE_THREADS / 32];
  const Pair p(a, blockIdx.y);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  Tail ofWarp = fromHere(GateTokens(a, p, blockIdx.x * GATE_TILE + threadIdx.x * GATE_TOKENS).all, lane);
  if (lane == 0) {
    warpSums[warp] = ofWarp.sum;
    warpEnds[warp] = ofWarp.ends;
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    Tail all{0., false};
    for (int i = GATE_THREADS / 32 - 1; i >= 0; i--) all = join(Tail{warpSums[i], warpEnds[i] != 0}, all);
    double *to = a.tails + ((long long)p.index * gridDim.x + blockIdx.x) * 2;
    to[0] = all.sum;
    to[1] = all.ends ? 1. : 0.;
  }
}

// Grid (tiles, pairs).
extern "C" __global__ void __launch_bounds__(GATE_THREADS) gate_gradients(const __grid_constant__ Work a) {
  __shared__ double warpSums[GATE_THREADS / 32], afterTile;
  __shared__ int warpEnds[GATE_THREADS / 32];
  const Pair p(a, blockIdx.y);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, first = blockIdx.x * GATE_TILE + threadIdx.x * GATE_TOKENS;
  const GateTokens tokens(a, p, first);
  const Tail ofLanes = fromHere(tokens.all, lane);
  if (lane == 0) {
    warpSums[warp] = ofLanes.sum;
    warpEnds[warp] = ofLanes.ends;
  }
  if (warp == 0) { // what comes after this tile
    const double *tails = a.tails + (long long)p.index * gridDim.x * 2;
    Tail after{a.endDot == nullptr ? 0. : (double)a.endDot[p.index], false};
    for (int from = ((int)gridDim.x - 1) / 32 * 32; from >= 0 && from + 31 > (int)blockIdx.x; from -= 32) {
      int tile = from + lane;
      bool counts = tile > (int)blockIdx.x && tile < (int)gridDim.x;
      Tail mine{counts ? tails[2 * tile] : 0., counts && tails[2 * tile + 1] != 0.};
      Tail all = fromHere(mine, lane);
      all.sum = __shfl_sync(ALL, all.sum, 0);
      all.ends = (bool)__shfl_sync(ALL, (int)all.ends, 0);
      after = join(all, after);
    }
    if (lane == 0) afterTile = after.sum;
  }
  __syncthreads();
  Tail later{afterTile, false}; // of all tokens after those of this lane
  for (int i = GATE_THREADS / 32 - 1; i > warp; i--) later = join(Tail{warpSums[i], warpEnds[i] != 0}, later);
  Tail lanesAfter{__shfl_down_sync(ALL, ofLanes.sum, 1), (bool)__shfl_down_sync(ALL, (int)ofLanes.ends, 1)};
  if (lane < 31) later = join(lanesAfter, later);
  double sum = later.sum;
#pragma unroll
  for (int i = GATE_TOKENS - 1; i >= 0; i--) {
    const int t = first + i;
    if (t < a.length) {
      const bool token = isToken(a, p, t), start = isStart(a, p, t);
      sum += tokens.w[i];
      const bool fresh = start || (t == 0 && a.c0 == nullptr); // the forget gate meets an empty state
      const float f = token ? a.fgate[p.gate(a, t)] : 0.f;
      a.digate[p.gate(a, t)] = tokens.kdk[i];
      a.dfgate[p.gate(a, t)] = token && !fresh ? (float)sum / (1.f + expf(f)) : 0.f;
      if (start) sum = 0.;
    }
  }
}

// The product of the final state and its gradient, summed in a fixed order. One block a pair.
extern "C" __global__ void __launch_bounds__(256) end_dot(const __grid_constant__ Work a) {
  __shared__ double sums[256];
  const long long pair = blockIdx.x, size = (long long)a.qkDim * a.vDim;
  double sum = 0.;
  for (long long i = threadIdx.x; i < size; i += 256) sum += (double)(a.endC[pair * size + i] * a.dcLast[pair * size + i]);
  for (int i = threadIdx.x; i < a.qkDim; i += 256) sum += (double)(a.endN[pair * a.qkDim + i] * a.dnLast[pair * a.qkDim + i]);
  sums[threadIdx.x] = sum;
  for (int half = 128; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) a.endDot[pair] = (float)sums[0];
}

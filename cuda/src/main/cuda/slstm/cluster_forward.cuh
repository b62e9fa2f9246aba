#pragma once
#include "cluster.cuh"

// ---- Forward.
//
// Shared memory: y tiles [2 buffers][PLANES][kTiles][256 bytes], fragments [W][sharedSteps][PLANES][2][32][16 bytes],
// two barriers.
template <typename T> __device__ __forceinline__ void forward(const Forward<T> &a) {
  const Place<T> p(a.batch, a.heads, a.width);
  const int width = a.width, length = a.length;
  const u32 planeBytes = p.kTiles * TILE_BYTES, bufferBytes = planeBytes * PLANES<T>;
  const int steps = p.kTiles / 2;
  uint4 *fragments = (uint4 *)(memory + 2 * bufferBytes) + (size_t)p.warp * a.sharedSteps * 64 * PLANES<T>;
  const u32 tiles = sharedAddress(memory);
  const u32 barriers = tiles + 2 * bufferBytes + p.warps * a.sharedSteps * 1024 * PLANES<T>;
  const uint4 *far =
      a.fragments + ((size_t)p.head * p.blocks * p.warps + p.tile) * steps * 64 * PLANES<T>;
  fillFragments<T>(fragments, far, a.sharedSteps, p.lane);
  far += p.lane + (size_t)a.sharedSteps * 64 * PLANES<T>;
  fragments += p.lane;

  // The initial y of the whole head, and zeros in the other buffer.
  for (int i = threadIdx.x; i < p.kTiles * 128; i += blockDim.x) {
    int unit = i / 128 * 8 + i % 8, row = blockIdx.z * ROWS + i / 8 % 16;
    float y = 0.f;
    if (a.y0 != nullptr && unit < width && row < a.batch) {
      long long position = (long long)row * length;
      bool fresh = a.starts != nullptr && a.starts[position] != 0 && isToken(a.valid, position);
      if (!fresh) y = a.y0[row * p.units + (long long)p.head * width + unit];
    }
    u16 *at = (u16 *)memory + i;
    at[0] = toBits(y);
    at[bufferBytes / 2] = 0;
    if (PLANES<T> == 2) {
      at[planeBytes / 2] = toBits(y - rounded<bf16>(y));
      at[planeBytes / 2 + bufferBytes / 2] = 0;
    }
  }
  if (threadIdx.x == 0) {
    barrierInit(barriers);
    barrierInit(barriers + 8);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  float y[4], c[4], n[4], m[4], bias[4][2];
  p.readState(a.y0, width, y);
  p.readState(a.c0, width, c);
  p.readState(a.n0, width, n);
  p.readState(a.m0, width, m);
#pragma unroll
  for (int gate = 0; gate < 4; gate++) {
    const float *at = a.bias + ((long long)p.head * 4 + gate) * width + p.unit;
    bias[gate][0] = p.count > 0 ? at[0] : 0.f;
    bias[gate][1] = p.count > 1 ? at[1] : 0.f;
  }

  const T *wx[2];
  T *out[2];
  const u8 *valid[2], *starts[2];
  bool token[2], start[2];
  Packed<T> next[2][4];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    long long position = (long long)p.row[i] * length;
    wx[i] = a.wx + position * 4 * p.units + (long long)p.head * width + p.unit;
    out[i] = a.y + position * p.units + (long long)p.head * width + p.unit;
    valid[i] = a.valid == nullptr || !p.live[i] ? nullptr : a.valid + position;
    starts[i] = a.starts == nullptr || !p.live[i] ? nullptr : a.starts + position;
    token[i] = p.live[i] && (valid[i] == nullptr || valid[i][0] != 0);
    start[i] = token[i] && starts[i] != nullptr && starts[i][0] != 0;
#pragma unroll
    for (int gate = 0; gate < 4; gate++) next[i][gate] = readPair(wx[i] + gate * p.units, p.countOf(i), p.even);
  }
  // Four lanes have a sequence; each of them prefetches one gate, four tokens ahead.
  const long long ahead = (12 + (p.lane & 3)) * p.units - (p.lane & 3) * 2;
  const bool prefetches[2] = {p.live[0] && p.tile * 8 < width, p.live[1] && p.tile * 8 < width};
  uint4 *saved = a.saved == nullptr ? nullptr : (uint4 *)a.saved + p.saved(0);
  const long long savedStride = p.savedStride();
  const bool masked = a.valid != nullptr || a.starts != nullptr;
  u32 blockOffset[4]; // of the blocks that this lane sends to, in the cluster's shared memory
#pragma unroll
  for (int j = 0; j < 4; j++) {
    int block = (p.lane & 3) + j * 4;
    blockOffset[j] = block < p.blocks ? addressIn(tiles, block) - tiles : 0;
  }
  const int sent = p.blocks * p.warps < p.kTiles ? p.blocks * p.warps : p.kTiles; // tiles that arrive at a token
  clusterBarrier();

  for (int t = 0; t < length; t++) {
    const bool more = t + 1 < length;
    float raw[4][4]; // gate, accumulator
    bool nextToken[2] = {false, false}, nextStart[2] = {false, false};
#pragma unroll
    for (int i = 0; i < 2; i++) {
#pragma unroll
      for (int gate = 0; gate < 4; gate++) {
        Pair wxHere = unpacked(next[i][gate]);
        raw[gate][2 * i] = wxHere.x + bias[gate][0];
        raw[gate][2 * i + 1] = wxHere.y + bias[gate][1];
      }
      wx[i] += 4 * p.units;
      if (more) {
#pragma unroll
        for (int gate = 0; gate < 4; gate++) {
          next[i][gate] = readPair(wx[i] + gate * p.units, p.countOf(i), p.even);
        }
        nextToken[i] = p.live[i];
        if (masked) {
          nextToken[i] = p.live[i] && (valid[i] == nullptr || valid[i][t + 1] != 0);
          nextStart[i] = nextToken[i] && starts[i] != nullptr && starts[i][t + 1] != 0;
        }
        if (t + 4 < length && prefetches[i]) prefetch(wx[i] + ahead);
      }
    }
    if (t > 0) await(barriers + (t & 1) * 8, ((t - 1) >> 1) & 1);
    const u32 nextBarrier = barriers + ((t + 1) & 1) * 8;
    if (threadIdx.x == 0 && more) expectBytes(nextBarrier, sent * TILE_BYTES * PLANES<T>);

    float even[4][4] = {}, odd[4][4] = {};
    const u32 from = tiles + (t & 1) * bufferBytes + p.lane * 16;
    int k = 0;
#pragma unroll 3
    for (; k < a.sharedSteps; k += 2) {
      const uint4 *b = fragments + k * 64 * PLANES<T>;
      multiplyFour<T>(even, from + k * 512, planeBytes, b);
      multiplyFour<T>(odd, from + k * 512 + 512, planeBytes, b + 64 * PLANES<T>);
    }
#pragma unroll 2
    for (const uint4 *b = far; k < steps; k += 2, b += 128 * PLANES<T>) {
      multiplyFour<T>(even, from + k * 512, planeBytes, b);
      multiplyFour<T>(odd, from + k * 512 + 512, planeBytes, b + 64 * PLANES<T>);
    }

    float gateValue[4], slope[4], z[4], o[4], fed[4];
#pragma unroll
    for (int q = 0; q < 4; q++) {
      if (start[q / 2]) c[q] = n[q] = m[q] = y[q] = 0.f;
      float cNew = c[q], nNew = n[q], mNew = m[q], yNew;
      Activations act = advance(
          raw[0][q] + (even[0][q] + odd[0][q]), raw[1][q] + (even[1][q] + odd[1][q]),
          raw[2][q] + (even[2][q] + odd[2][q]), raw[3][q] + (even[3][q] + odd[3][q]), cNew, nNew, mNew, yNew);
      if (token[q / 2]) c[q] = cNew, n[q] = nNew, m[q] = mNew, y[q] = yNew;
      gateValue[q] = act.gate, slope[q] = act.slope, z[q] = act.z, o[q] = act.o;
      fed[q] = nextStart[q / 2] ? 0.f : y[q];
    }

    if (more && p.tile < p.kTiles) {
      const u32 to = tiles + ((t + 1) & 1) * bufferBytes + p.tile * TILE_BYTES + (p.lane >> 2) * 16;
      const int quad = p.lane & ~3;
#pragma unroll
      for (int plane = 0; plane < PLANES<T>; plane++) {
        if (plane == 1) {
#pragma unroll
          for (int q = 0; q < 4; q++) fed[q] -= rounded<bf16>(fed[q]);
        }
        u32 upper = toWord(fed[0], fed[1]), lower = toWord(fed[2], fed[3]);
        uint4 rowUpper, rowLower; // eight units of a sequence each
        rowUpper.x = __shfl_sync(~0u, upper, quad), rowUpper.y = __shfl_sync(~0u, upper, quad + 1);
        rowUpper.z = __shfl_sync(~0u, upper, quad + 2), rowUpper.w = __shfl_sync(~0u, upper, quad + 3);
        rowLower.x = __shfl_sync(~0u, lower, quad), rowLower.y = __shfl_sync(~0u, lower, quad + 1);
        rowLower.z = __shfl_sync(~0u, lower, quad + 2), rowLower.w = __shfl_sync(~0u, lower, quad + 3);
#pragma unroll
        for (int j = 0; j < 4; j++) {
          if ((p.lane & 3) + j * 4 < p.blocks) {
            u32 there = to + plane * planeBytes + blockOffset[j], barrier = nextBarrier + blockOffset[j];
            send(there, rowUpper, barrier);
            send(there + 128, rowLower, barrier);
          }
        }
      }
    }

#pragma unroll
    for (int i = 0; i < 2; i++) {
      bool real = token[i];
      writePair(out[i], real ? y[2 * i] : 0.f, real ? y[2 * i + 1] : 0.f, p.countOf(i), p.even);
      out[i] += p.units;
      token[i] = nextToken[i];
      start[i] = nextStart[i];
    }
    if (saved != nullptr) {
      Saved<T>::store(saved, 0, gateValue, slope);
      Saved<T>::store(saved, 1, z, o);
      Saved<T>::store(saved, 2, c, n);
      saved += savedStride;
    }
  }
  if (a.yLast != nullptr) {
    p.writeState(a.yLast, width, y);
    p.writeState(a.cLast, width, c);
    p.writeState(a.nLast, width, n);
    p.writeState(a.mLast, width, m);
  }
  clusterBarrier(); // no block leaves while others may write into it
}

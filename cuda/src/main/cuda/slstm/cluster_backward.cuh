#pragma once
#include "cluster.cuh"

// ---- Backward.
//
// A block has the gate gradients of its own units (16 sequences x 32 W), multiplies them by its rows of the recurrent
// kernel, and sends to every block the part of dy that belongs to that block's units; the receiver adds the C parts in
// the order of the blocks. Warp w of a block works for warp w of every block, so a barrier belongs to a warp.
//
// Shared memory: gate gradients [2 buffers][PLANES][4 W tiles][256 bytes], parts [2][W][C][512 bytes], fragments
// [W][sharedSteps][PLANES][2][32][16 bytes] with k-steps numbered [group of four blocks][2 W], barriers [2][W].
template <typename T> __device__ __forceinline__ void backward(const Backward<T> &a) {
  const Place<T> p(a.batch, a.heads, a.width);
  const int width = a.width, length = a.length;
  const u32 planeBytes = p.warps * 4 * TILE_BYTES, bufferBytes = planeBytes * PLANES<T>;
  const int groups = (p.blocks + 3) / 4, inner = 2 * p.warps;
  const u32 tiles = sharedAddress(memory);
  const u32 partBytes = p.warps * p.blocks * 512;
  const u32 partsAt = 2 * bufferBytes, fragmentsAt = partsAt + 2 * partBytes;
  uint4 *fragments = (uint4 *)(memory + fragmentsAt) + (size_t)p.warp * a.sharedSteps * 64 * PLANES<T>;
  const u32 barriers = tiles + fragmentsAt + p.warps * a.sharedSteps * 1024 * PLANES<T> + p.warp * 8;
  const u32 otherBarrier = p.warps * 8; // from a warp's first barrier to its second
  const uint4 *far = a.fragments
      + (((size_t)p.head * p.blocks + p.rank) * p.warps + p.warp) * groups * inner * 64 * PLANES<T>;
  fillFragments<T>(fragments, far, a.sharedSteps, p.lane);
  far += p.lane;
  fragments += p.lane;
  if (p.lane == 0) {
    barrierInit(barriers);
    barrierInit(barriers + otherBarrier);
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }

  float dyNext[4], dc[4], dn[4], dm[4], held[4] = {}, dbias[4][2] = {};
  p.readState(a.dyLast, width, dyNext);
  p.readState(a.dcLast, width, dc);
  p.readState(a.dnLast, width, dn);
  p.readState(a.dmLast, width, dm);

  const T *dy[2];
  T *dwx[2];
  const u8 *valid[2], *starts[2];
  bool keep[2] = {true, true}; // the token after was no start
  Packed<T> dyHere[2];
  const uint4 *saved = (const uint4 *)a.saved + p.saved(length - 1);
  const long long savedStride = p.savedStride();
  const bool masked = a.valid != nullptr || a.starts != nullptr;
  Saved<T> now, before;
#pragma unroll
  for (int i = 0; i < 2; i++) {
    long long position = (long long)p.row[i] * length, last = position + length - 1;
    valid[i] = a.valid == nullptr || !p.live[i] ? nullptr : a.valid + position;
    starts[i] = a.starts == nullptr || !p.live[i] ? nullptr : a.starts + position;
    dy[i] = a.dy + last * p.units + (long long)p.head * width + p.unit;
    dwx[i] = a.dwx + last * 4 * p.units + (long long)p.head * width + p.unit;
    dyHere[i] = readPair(dy[i], p.countOf(i), p.even);
  }
  now.loadGates(saved);
  now.loadState(saved);
  if (length > 1) before.loadState(saved - savedStride);
  {
    float c[4], n[4];
    now.stateValues(c, n);
#pragma unroll
    for (int q = 0; q < 4; q++) dm[q] -= c[q] * dc[q] + n[q] * dn[q];
  }
  const uint4 *farSaved = saved - p.lane + p.lane * 8 - 5 * savedStride;
  clusterBarrier();

  for (int s = 0; s < length; s++) {
    const int t = length - 1 - s;
    bool token[2], start[2];
    Packed<T> dyThen[2] = {};
    float c[4], n[4], cBefore[4] = {}, nBefore[4] = {}, gate[4], slope[4], z[4], o[4];
    now.stateValues(c, n);
    now.gateValues(gate, slope, z, o);
    if (t > 0) {
      before.stateValues(cBefore, nBefore);
    } else {
      p.readState(a.c0, width, cBefore);
      p.readState(a.n0, width, nBefore);
    }
    // What the next step needs, in flight during this one.
    now = before;
    saved -= savedStride;
    if (t > 0) now.loadGates(saved);
    if (t > 1) before.loadState(saved - savedStride);
    if (t > 4 && p.lane < Saved<T>::VECTORS * 4) prefetch(farSaved); // lines of 128 bytes
    farSaved -= savedStride;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      token[i] = p.live[i];
      start[i] = false;
      if (masked) {
        token[i] = p.live[i] && (valid[i] == nullptr || valid[i][t] != 0);
        start[i] = token[i] && starts[i] != nullptr && starts[i][t] != 0;
      }
      dy[i] -= p.units;
      if (t > 0) dyThen[i] = readPair(dy[i], p.countOf(i), p.even);
      if (t > 4 && (p.lane & 3) == 0 && p.countOf(i) > 0) prefetch(dy[i] - 4 * p.units);
    }

    if (s > 0) {
      await(barriers + (s & 1) * otherBarrier, ((s - 1) >> 1) & 1);
      const float4 *parts = (const float4 *)(memory + partsAt + (s & 1) * partBytes) + p.warp * p.blocks * 32 + p.lane;
      float sum[4] = {};
      for (int block = 0; block < p.blocks; block++) {
        float4 part = parts[block * 32];
        sum[0] += part.x, sum[1] += part.y, sum[2] += part.z, sum[3] += part.w;
      }
#pragma unroll
      for (int q = 0; q < 4; q++) dyNext[q] = keep[q / 2] ? sum[q] + held[q] : 0.f;
    }
    const u32 nextBarrier = barriers + ((s + 1) & 1) * otherBarrier;
    if (p.lane == 0) expectBytes(nextBarrier, p.blocks * 512);

    GateGradients d[4];
#pragma unroll
    for (int q = 0; q < 4; q++) {
      int i = q / 2;
      if (start[i]) cBefore[q] = nBefore[q] = 0.f;
      float dcNew = dc[q], dnNew = dn[q], dmNew = dm[q];
      Pair dyPair = unpacked(dyHere[i]);
      float dyAll = dyNext[q] + ((q & 1) == 0 ? dyPair.x : dyPair.y);
      Activations act = {gate[q], slope[q], z[q], o[q]};
      d[q] = retreat(act, c[q], n[q], cBefore[q], nBefore[q], dyAll, dcNew, dnNew, dmNew);
      d[q].i = rounded<T>(d[q].i), d[q].f = rounded<T>(d[q].f), d[q].z = rounded<T>(d[q].z), d[q].o = rounded<T>(d[q].o);
      if (token[i]) {
        dc[q] = dcNew, dn[q] = dnNew, dm[q] = dmNew, held[q] = 0.f;
      } else {
        d[q].i = d[q].f = d[q].z = d[q].o = 0.f;
        held[q] = dyNext[q];
      }
      if (start[i]) dc[q] = dn[q] = dm[q] = 0.f;
      dbias[0][q & 1] += d[q].i, dbias[1][q & 1] += d[q].f, dbias[2][q & 1] += d[q].z, dbias[3][q & 1] += d[q].o;
    }

    // Tiles of A: [warp][gate], sequence by unit.
    unsigned char *mine =
        memory + (s & 1) * bufferBytes + p.warp * 4 * TILE_BYTES + (p.lane >> 2) * 16 + (p.lane & 3) * 4;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      keep[i] = !start[i];
      const GateGradients &u = d[2 * i], &v = d[2 * i + 1];
      u32 *to = (u32 *)(mine + i * 128);
      to[0] = toWord(u.i, v.i);
      to[64] = toWord(u.f, v.f);
      to[128] = toWord(u.z, v.z);
      to[192] = toWord(u.o, v.o);
      if (PLANES<T> == 2) {
        u32 *low = to + planeBytes / 4;
        low[0] = toWord(u.i - rounded<bf16>(u.i), v.i - rounded<bf16>(v.i));
        low[64] = toWord(u.f - rounded<bf16>(u.f), v.f - rounded<bf16>(v.f));
        low[128] = toWord(u.z - rounded<bf16>(u.z), v.z - rounded<bf16>(v.z));
        low[192] = toWord(u.o - rounded<bf16>(u.o), v.o - rounded<bf16>(v.o));
      }
    }
    __syncthreads(); // the other buffer is free: all have passed the product of the step before

    const u32 from = tiles + (s & 1) * bufferBytes + p.lane * 16;
    const u32 part = tiles + partsAt + ((s + 1) & 1) * partBytes + (p.warp * p.blocks + p.rank) * 512 + p.lane * 16;
    for (int group = 0; group < groups; group++) {
      float even[4][4] = {}, odd[4][4] = {};
      const int first = group * inner, ready = a.sharedSteps - first; // k-steps of this group in shared memory
      const int shared = ready < 0 ? 0 : ready < inner ? ready : inner;
      int k = 0;
#pragma unroll 3
      for (; k < shared; k += 2) {
        const uint4 *b = fragments + (first + k) * 64 * PLANES<T>;
        multiplyFour<T>(even, from + k * 512, planeBytes, b);
        multiplyFour<T>(odd, from + k * 512 + 512, planeBytes, b + 64 * PLANES<T>);
      }
#pragma unroll 2
      for (; k < inner; k += 2) {
        const uint4 *b = far + (first + k) * 64 * PLANES<T>;
        multiplyFour<T>(even, from + k * 512, planeBytes, b);
        multiplyFour<T>(odd, from + k * 512 + 512, planeBytes, b + 64 * PLANES<T>);
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        int block = group * 4 + j;
        if (block < p.blocks) {
          uint4 v = make_uint4(
              __float_as_uint(even[j][0] + odd[j][0]), __float_as_uint(even[j][1] + odd[j][1]),
              __float_as_uint(even[j][2] + odd[j][2]), __float_as_uint(even[j][3] + odd[j][3]));
          u32 there = addressIn(part, block);
          send(there, v, there - part + nextBarrier);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const GateGradients &u = d[2 * i], &v = d[2 * i + 1];
      writePair(dwx[i], u.i, v.i, p.countOf(i), p.even);
      writePair(dwx[i] + p.units, u.f, v.f, p.countOf(i), p.even);
      writePair(dwx[i] + 2 * p.units, u.z, v.z, p.countOf(i), p.even);
      writePair(dwx[i] + 3 * p.units, u.o, v.o, p.countOf(i), p.even);
      dwx[i] -= 4 * p.units;
      dyHere[i] = dyThen[i];
    }
  }

  // What came for the initial y.
  await(barriers + (length & 1) * otherBarrier, ((length - 1) >> 1) & 1);
  const float4 *parts = (const float4 *)(memory + partsAt + (length & 1) * partBytes) + p.warp * p.blocks * 32 + p.lane;
  float sum[4] = {};
  for (int block = 0; block < p.blocks; block++) {
    float4 part = parts[block * 32];
    sum[0] += part.x, sum[1] += part.y, sum[2] += part.z, sum[3] += part.w;
  }
  if (a.dy0 != nullptr) {
    float c0[4], n0[4];
    p.readState(a.c0, width, c0);
    p.readState(a.n0, width, n0);
#pragma unroll
    for (int q = 0; q < 4; q++) {
      sum[q] = keep[q / 2] ? sum[q] + held[q] : 0.f;
      dm[q] += c0[q] * dc[q] + n0[q] * dn[q];
    }
    p.writeState(a.dy0, width, sum);
    p.writeState(a.dc0, width, dc);
    p.writeState(a.dn0, width, dn);
    p.writeState(a.dm0, width, dm);
  }
#pragma unroll
  for (int gate = 0; gate < 4; gate++) {
#pragma unroll
    for (int i = 0; i < 2; i++) { // over the sequences, which lie on lanes 4, 8 and 16 apart
      float total = dbias[gate][i];
      total += __shfl_xor_sync(~0u, total, 4);
      total += __shfl_xor_sync(~0u, total, 8);
      total += __shfl_xor_sync(~0u, total, 16);
      if (p.lane < 4 && p.count > i) {
        a.dbiasParts[(((long long)blockIdx.z * a.heads + p.head) * 4 + gate) * width + p.unit + i] = total;
      }
    }
  }
  clusterBarrier();
}
